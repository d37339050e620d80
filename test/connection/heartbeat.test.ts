import { once } from 'node:events'
import t, { type Test } from 'tap'
import { Heartbeat } from '../../src/connection/heartbeat.js'
import type { RouteLimits } from '../../src/index.js'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { connect, listen, portOf } from '../fixtures/client.js'
import { Closings } from '../fixtures/closings.js'
import { connectRaw, handshakeHeaders, requestBytes } from '../fixtures/raw-socket.js'
import { issueTicket } from '../fixtures/tickets.js'
import { as, buildTimedApp } from '../fixtures/timed-app.js'

const PING = Buffer.from('12345678')

t.test('a ping is due every interval, and only the pong that carries its data counts', async (t) => {
  const heartbeat = new Heartbeat({ pingIntervalMs: 100, pongTimeoutMs: 50 }, 0)
  t.equal(heartbeat.due(99), 'none')
  t.equal(heartbeat.due(100), 'ping')
  heartbeat.pinged(PING, 100)
  t.equal(heartbeat.due(149), 'none', 'one ping at a time')
  heartbeat.ponged(Buffer.from('87654321'))
  heartbeat.ponged(Buffer.alloc(0))
  t.equal(heartbeat.due(150), 'dead')
  heartbeat.ponged(PING)
  t.equal(heartbeat.due(150), 'none')
  t.equal(heartbeat.due(200), 'ping')
  heartbeat.pinged(Buffer.from('abcdefgh'), 200)
  heartbeat.ponged(PING)
  t.equal(heartbeat.due(250), 'dead', 'the pong of an earlier ping does not count')
})

t.test('a ping may be due while the pong is still awaited; the peer has its full time all the same', async (t) => {
  const heartbeat = new Heartbeat({ pingIntervalMs: 100, pongTimeoutMs: 500 }, 0)
  heartbeat.pinged(PING, 100)
  t.equal(heartbeat.due(599), 'none')
  t.equal(heartbeat.due(600), 'dead')
})

async function buildEcho(t: Test, limits: RouteLimits = {}) {
  const { app, clock } = await buildTimedApp(t)
  const closings = new Closings()
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, onClose: closings.onClose, ...limits })
  await listen(app)
  return { app, clock, closings }
}

t.test('a client that answers pings stays', async (t) => {
  const { app, clock } = await buildEcho(t)
  const client = await connect(t, app, '/echo', as({ sub: 'ann' }))
  await client.next()
  const pings = new Set<string>()
  for (let i = 0; i < 4; i++) {
    const pinged = once(client.socket, 'ping')
    clock.advance(25_000)
    const [data] = await pinged
    pings.add(String(data))
    // its pong was sent before this and is read before it
    t.match(await client.request('echo', { text: 'here' }), { type: '$reply' })
  }
  t.equal(pings.size, 4, 'no ping can be foretold')
})

t.test('E7 E8 a client that does not answer pings is closed with 4408, unsolicited pongs or not', async (t) => {
  const { app, clock, closings } = await buildEcho(t)
  const client = await connect(t, app, '/echo', as({ sub: 'ann' }), { autoPong: false })
  await client.next()
  const pinged = once(client.socket, 'ping')
  clock.advance(25_000)
  await pinged
  client.socket.pong()
  client.socket.pong('12345678')
  await client.request('echo', { text: 'not silent' })
  clock.advance(9750)
  t.match(await client.request('echo', { text: 'still there' }), { type: '$reply' })
  clock.advance(250)
  t.strictSame(await client.closed, { code: 4408, reason: 'no pong' })
  t.match(await closings.count(1), [{ code: 4408 }])
})

t.test('E7 a peer that is not there any more is gone with the pong timeout', async (t) => {
  const { app, clock, closings } = await buildEcho(t)
  const raw = await connectRaw(t, portOf(app))
  const ticket = await issueTicket(app, '/echo', as({ sub: 'ann' }))
  raw.write(requestBytes('GET /echo HTTP/1.1', handshakeHeaders(ticket)))
  await raw.until('$welcome')
  clock.advance(34_750)
  t.equal(app.wsTicket.stats().connections, 1)
  clock.advance(250)
  t.match(await closings.count(1), [{ code: 4408, reason: 'no pong' }], 'its close frame is not waited for')
  t.match(app.wsTicket.stats(), { connections: 0, counted: { users: 0, ips: 0 } })
  t.match(await raw.ended, /no pong/, 'though it is told')
})

t.test('a client that sends no message for idleTimeout is closed with 4408, pongs or not', async (t) => {
  const { app, clock } = await buildEcho(t, { idleTimeout: 20_000, pingInterval: '1 hour' })
  const client = await connect(t, app, '/echo', as({ sub: 'ann' }))
  await client.next()
  clock.advance(19_750)
  t.match(await client.request('echo', { text: 'not idle' }), { type: '$reply' })
  clock.advance(19_750)
  t.match(await client.request('echo', { text: 'not idle' }), { type: '$reply' })
  clock.advance(20_000)
  t.strictSame(await client.closed, { code: 4408, reason: 'idle' })
})
