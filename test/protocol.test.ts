import t from 'tap'
import { CloseCode, encodeError, encodeEvent, encodeExpiring, encodeReply, encodeWelcome, SUBPROTOCOL } from '../src/protocol.js'

t.test('the frames of the server have the form that clients know', async (t) => {
  t.same(JSON.parse(encodeWelcome('c1', 5)), { type: '$welcome', payload: { connection: 'c1', expiresAt: 5 } })
  t.same(JSON.parse(encodeExpiring(5)), { type: '$expiring', payload: { expiresAt: 5 } })
  t.same(JSON.parse(encodeReply(7, { a: 1 })), { type: '$reply', id: 7, payload: { a: 1 } })
  t.same(JSON.parse(encodeReply(0, null)), { type: '$reply', id: 0, payload: null })
  t.same(JSON.parse(encodeEvent('news', { a: 1 })), { type: 'news', payload: { a: 1 } })
  t.same(JSON.parse(encodeEvent('news', null, 'room:1')), { type: 'news', topic: 'room:1', payload: null })
})

t.test('a reply of what JSON does not know is null', async (t) => {
  for (const value of [undefined, () => {}, Symbol('x')])
    t.same(JSON.parse(encodeReply(1, value)), { type: '$reply', id: 1, payload: null })
})

t.test('an error has an id only where it answers a frame that had one', async (t) => {
  const payload = { code: 'X', statusCode: 400, message: 'x' }
  t.same(JSON.parse(encodeError(undefined, payload)), { type: '$error', payload })
  t.same(JSON.parse(encodeError(0, payload)), { type: '$error', id: 0, payload })
})

t.test('the subprotocol and the close codes are fixed', async (t) => {
  t.equal(SUBPROTOCOL, 'fastify-ws-ticket.v1')
  t.same(CloseCode, {
    normal: 1000,
    goingAway: 1001,
    unsupportedData: 1003,
    messageTooBig: 1009,
    internalError: 1011,
    serviceRestart: 1012,
    slowConsumer: 1013,
    badMessages: 4400,
    sessionExpired: 4401,
    disconnected: 4403,
    unresponsive: 4408,
    ticketReplayed: 4409,
    limitsExceeded: 4429
  })
})
