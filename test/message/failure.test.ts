import t from 'tap'
import { fail } from '../../src/errors.js'
import { describeError, isServerFault } from '../../src/message/failure.js'

const HIDDEN = { code: 'FST_WS_TICKET_HANDLER_FAILED', statusCode: 500, message: 'The server failed to handle the message.' }

function errorWith(message: string, properties: object): Error {
  return Object.assign(new Error(message), properties)
}

t.test('G10 of an error that is not for the client nothing is told', async (t) => {
  const errors: [string, unknown][] = [
    ['a plain error', new Error('password is 123')],
    ['an error of the server', errorWith('down', { statusCode: 500, code: 'DB' })],
    ['an error that has a status of success', errorWith('odd', { statusCode: 200 })],
    ['a status just above', errorWith('odd', { statusCode: 500, errors: [] })],
    ['a status just below', errorWith('odd', { statusCode: 399 })],
    ['a status as a text', errorWith('odd', { statusCode: '404' })],
    ['a foreign 503', errorWith('redis://secret', { statusCode: 503, code: 'ECONNREFUSED' })],
    ['a foreign 503 without a code', errorWith('redis://secret', { statusCode: 503 })],
    ['an own error about what the app did', fail('INVALID_EVENT', ['a', 'secret'])],
    ['an object that is no error', { statusCode: 404, message: 'x' }],
    ['a text', 'secret'],
    ['nothing', undefined],
    ['null', null]
  ]
  for (const [name, error] of errors) {
    t.same(describeError(error), HIDDEN, name)
    t.equal(isServerFault(error), true, `${name} is worth a line in the log`)
  }
})

t.test("G10 an error that says it is the client's is told with its code and message", async (t) => {
  const error = errorWith('no such room', { statusCode: 404, code: 'ROOM_UNKNOWN', retryAfterMs: 10.2, errors: ['internal'], secret: 1 })
  t.same(describeError(error), { code: 'ROOM_UNKNOWN', statusCode: 404, message: 'no such room', retryAfter: 11 })
  t.equal(isServerFault(error), false)
  const bare = errorWith('not you', { statusCode: 403, code: 7, retryAfterMs: '10' })
  t.same(describeError(bare), { code: 'FST_WS_TICKET_HANDLER_FAILED', statusCode: 403, message: 'not you' })
})

t.test('own errors are told with what a schema objected to and how long to wait', async (t) => {
  const errors = [{ path: '/a', message: 'must be text' }]
  t.match(describeError(fail('INVALID_PAYLOAD', [], { errors })), { code: 'FST_WS_TICKET_INVALID_PAYLOAD', statusCode: 400, errors })
  t.match(describeError(fail('RATE_LIMITED', [], { retryAfterMs: 0.1 })), {
    code: 'FST_WS_TICKET_RATE_LIMITED',
    statusCode: 429,
    retryAfter: 1
  })
})

t.test('an own error that says to try later is told and logged', async (t) => {
  const error = fail('HANDLER_TIMEOUT')
  t.match(describeError(error), { code: 'FST_WS_TICKET_HANDLER_TIMEOUT', statusCode: 503 })
  t.equal(isServerFault(error), true)
})
