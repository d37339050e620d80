import t from 'tap'
import { codeOf, fail } from '../src/errors.js'

t.test('an error has the code, status and message of the table, with its values in place', async (t) => {
  const error = fail('TOO_MANY_TICKETS', [10])
  t.type(error, Error)
  t.match(error, {
    code: 'FST_WS_TICKET_TOO_MANY_TICKETS',
    statusCode: 429,
    message: 'You have as many unused tickets as a user may have (10); use one or wait.',
    help: 'fastify-ws-ticket/docs/errors.md#fst_ws_ticket_too_many_tickets'
  })
  t.equal(codeOf('FORBIDDEN'), 'FST_WS_TICKET_FORBIDDEN')
})

t.test('each error is new', async (t) => {
  const [first, second] = [fail('INVALID_JSON', ['a'], { retryAfterMs: 1 }), fail('INVALID_JSON', ['b'])]
  t.not(first, second)
  t.match(second.message, /: b\.$/)
  t.equal(second.retryAfterMs, undefined)
})

t.test('the time to wait becomes Retry-After in whole seconds, at least one', async (t) => {
  const cases: [number, string][] = [
    [0, '1'],
    [1, '1'],
    [1000, '1'],
    [1001, '2'],
    [59_999.5, '60']
  ]
  for (const [retryAfterMs, seconds] of cases) {
    t.match(fail('TOO_MANY_REQUESTS', [], { retryAfterMs }), { retryAfterMs, headers: { 'retry-after': seconds } }, String(retryAfterMs))
  }
  const headers = { 'www-authenticate': 'Bearer' }
  t.same(fail('UNAVAILABLE', [], { retryAfterMs: 1, headers }).headers, { ...headers, 'retry-after': '1' })
  t.same(fail('UNAUTHENTICATED', [], { headers }).headers, headers)
  t.equal(fail('UNAUTHENTICATED').headers, undefined)
})

t.test('what was thrown below is kept as its cause', async (t) => {
  const cause = new Error('below')
  t.equal(fail('UNAVAILABLE', [], { cause }).cause, cause)
})

t.test('only what the app itself did wrong has a stack trace; what a client does stays cheap', async (t) => {
  t.match(fail('INVALID_OPTION', ['x']).stack, /errors\.test/)
  t.notMatch(String(fail('INVALID_JSON', ['x']).stack), /errors\.test/)
})

t.test('H10 values from outside can not fill in places of the message', async (t) => {
  t.equal(fail('UNKNOWN_EVENT', ['%s %d', 'the contract', 'none']).message, "There is no event '%s %d' in the contract; known: none.")
})
