import t from 'tap'
import { fail } from '../../src/errors.js'
import { describeError } from '../../src/message/failure.js'

const HIDDEN = { code: 'FST_WS_TICKET_HANDLER_FAILED', statusCode: 500, message: 'The server failed to handle the message.' }

function errorWith(message: string, properties: object): Error {
  return Object.assign(new Error(message), properties)
}

const OWN_CODE = 'FST_WS_TICKET_INVALID_PAYLOAD'

const circular: { self?: unknown } = {}
circular.self = circular

function raise(): never {
  throw new Error('secret')
}

/** An error for a client, but for one property. */
function thrower(property: string): Error {
  return Object.defineProperty(errorWith('', { statusCode: 400, code: OWN_CODE }), property, { get: raise })
}

t.test('G10 of an error that is not for the client nothing is told', async (t) => {
  const errors: [string, unknown][] = [
    ['a plain error', new Error('password is 123')],
    ['an error of the server', errorWith('down', { statusCode: 500, code: 'DB' })],
    ['an error that has a status of success', errorWith('odd', { statusCode: 200 })],
    ['a status just above', errorWith('odd', { statusCode: 500, errors: [] })],
    ['a status just below', errorWith('odd', { statusCode: 399 })],
    ['a status that is none', errorWith('odd', { statusCode: 404.5 })],
    ['a status as a text', errorWith('odd', { statusCode: '404' })],
    [
      'what another server answered to an HTTP client',
      errorWith('GET http://internal/users: 404', { status: 404, code: 'ERR_BAD_REQUEST' })
    ],
    ['a foreign 503', errorWith('redis://secret', { statusCode: 503, code: 'ECONNREFUSED' })],
    ['a foreign 503 without a code', errorWith('redis://secret', { statusCode: 503 })],
    ['an own error about what the app did', fail('INVALID_EVENT', ['a', 'secret'])],
    ['a message that is no text', errorWith('', { statusCode: 400, message: 10n })],
    ['a circular message', errorWith('', { statusCode: 422, message: circular })],
    ['a status that throws', thrower('statusCode')],
    ['a code that throws', thrower('code')],
    ['a message that throws', thrower('message')],
    ['issues that throw', thrower('errors')],
    [
      'issues that are no texts',
      errorWith('', { statusCode: 400, code: OWN_CODE, errors: [{ path: circular, message: Object.create(null) }] })
    ],
    ['a proxy that throws', new Proxy(new Error(''), { getPrototypeOf: raise, get: raise })],
    ['an object that is no error', { statusCode: 404, message: 'x' }],
    ['a text', 'secret'],
    ['nothing', undefined],
    ['null', null]
  ]
  for (const [name, error] of errors) {
    t.same(describeError(error), HIDDEN, name)
  }
})

t.test("G10 an error that says it is the client's is told with its code and message", async (t) => {
  const error = errorWith('no such room', { statusCode: 404, code: 'ROOM_UNKNOWN', retryAfterMs: 10.2, errors: ['internal'], secret: 1 })
  t.same(describeError(error), { code: 'ROOM_UNKNOWN', statusCode: 404, message: 'no such room', retryAfter: 11 })
  const bare = errorWith('not you', { statusCode: 403, code: 7, retryAfterMs: '10' })
  t.same(describeError(bare), { code: 'FST_WS_TICKET_HANDLER_FAILED', statusCode: 403, message: 'not you' })
})

t.test('what is told can be sent as JSON and says what it should', async (t) => {
  const errors = [{ path: circular, message: 10n, toJSON: 1 }]
  const told = describeError(errorWith('', { statusCode: 400, code: OWN_CODE, errors, retryAfterMs: Number.POSITIVE_INFINITY }))
  t.same(told, { code: OWN_CODE, statusCode: 400, message: '', errors: [{ path: '[object Object]', message: '10' }] })
  const strange = describeError(errorWith('', { statusCode: 400, code: OWN_CODE, errors: circular, retryAfterMs: Number.NaN }))
  t.same(strange, { code: OWN_CODE, statusCode: 400, message: '' })
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

t.test('an own error that says to try later is told', async (t) => {
  t.match(describeError(fail('HANDLER_TIMEOUT')), { code: 'FST_WS_TICKET_HANDLER_TIMEOUT', statusCode: 503 })
})
