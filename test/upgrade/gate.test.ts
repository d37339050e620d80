import { EventEmitter, once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import t from 'tap'
import { wsTicket } from '../../src/index.js'
import { buildApp, buildEchoApp, echoContract, echoHandlers, JWT_SECRET, ORIGIN } from '../fixtures/app.js'
import { connect, listen, open, upgradeStatus } from '../fixtures/client.js'
import { captureLog } from '../fixtures/log.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { connectRaw, exchange, handshakeHeaders, requestBytes } from '../fixtures/raw-socket.js'
import { SlowStore } from '../fixtures/slow-store.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes, parseAnswer, refusedUpgrade, untilStats } from '../fixtures/upgrade.js'

const protocolsOf = (ticket: string) => ['fastify-ws-ticket.v1', `ticket.${ticket}`]
const unavailable = { status: 503, code: 'FST_WS_TICKET_UNAVAILABLE' }
const closing = { status: 503, code: 'FST_WS_TICKET_CLOSING' }

t.test('E2 a store that hangs: 503 by the deadline, and a late answer opens nothing', async (t) => {
  for (const step of ['find', 'redeem'] as const) {
    await t.test(step, async (t) => {
      const clock = new ManualClock()
      const store = new SlowStore(step)
      const app = await buildEchoApp(t, { plugin: { clock, store, handshakeTimeout: 5000 } })
      const port = await listen(app)
      const timers = clock.timers
      const answer = refusedUpgrade(t, port, '/echo', await issueTicket(app, '/echo'))
      await store.whenAsked()
      clock.advance(4749)
      t.equal(app.wsTicket.stats().pendingHandshakes, 1, 'not yet')
      clock.advance(500)
      const { text, ...rest } = await answer
      t.match(rest, unavailable)
      t.match(text, /retry-after: 1\r\n/i)
      await untilStats(app)
      store.answer()
      t.equal(clock.timers, timers, 'no timer is left')
      t.equal(text.match(/HTTP\/1\.1/g)?.length, 1)
    })
  }
})

t.test('E2 handshakes under way are capped', async (t) => {
  const store = new SlowStore('find')
  const app = await buildEchoApp(t, { plugin: { store, maxPendingHandshakes: 2 } })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  const waiting = [0, 1].map(() => open(t, app, '/echo', protocolsOf(ticket)))
  await store.whenAsked(2)
  const { text, ...answer } = await refusedUpgrade(t, port, '/echo', ticket)
  t.match(answer, unavailable)
  t.match(text, /retry-after/i)
  for (const { socket } of waiting) socket.terminate()
  await untilStats(app)
  store.answer()
  const client = open(t, app, '/echo', protocolsOf(ticket))
  await store.whenAsked()
  store.answer()
  t.match(await client.next(), { type: '$welcome' })
})

t.test('E3 what no route is found for is answered and closed', async (t) => {
  const app = await buildApp(t, { server: { routerOptions: { maxParamLength: 20 } } })
  app.wsRoute('/rooms/:room', { contract: echoContract, handlers: echoHandlers })
  const port = await listen(app)
  for (const [path, status] of [
    ['/%zz', 400],
    [`/rooms/${'a'.repeat(50)}`, 414],
    ['/unknown', 404],
    ['*', 404],
    ['http://other.example/unknown', 404]
  ] as const) {
    t.equal((await refusedUpgrade(t, port, path)).status, status, path)
  }
  await untilStats(app)
})

t.test('E4 a client that leaves while a hook is pending is gone at once', async (t) => {
  const app = await buildApp(t)
  const hook = deferredHook()
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, preHandler: hook.run })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
    const raw = await connectRaw(t, port)
    raw.write(handshakeBytes('/echo', ticket))
    await hook.entered()
    await untilStats(app, { pendingHandshakes: 1, ips: 1 })
    raw.socket[leave]()
    await untilStats(app)
    hook.leave()
    await raw.ended
  }
  const answer = upgradeStatus(t, app, '/echo', protocolsOf(ticket))
  await hook.entered()
  hook.leave()
  t.match(await answer, { status: 101 }, 'the ticket is good')
})

t.test('E4 a reset in every phase leaves nothing behind', async (t) => {
  const app = await buildEchoApp(t)
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  const bytes = handshakeBytes('/echo', ticket)
  for (const part of [bytes.slice(0, 3), bytes.slice(0, 100), handshakeBytes('/echo', ticket, { Origin: 'null' }), bytes]) {
    const raw = await connectRaw(t, port)
    raw.write(part)
    await new Promise((resolve) => setImmediate(resolve))
    raw.socket.resetAndDestroy()
    await raw.ended
  }
  const raw = await connectRaw(t, port)
  raw.write(handshakeBytes('/echo', await issueTicket(app, '/echo')))
  await raw.until('$welcome')
  raw.socket.resetAndDestroy()
  await untilStats(app)
})

t.test('E5 a hook that never settles ends at the deadline', async (t) => {
  const clock = new ManualClock()
  const app = await buildApp(t, { plugin: { clock, handshakeTimeout: 1000 } })
  const hook = deferredHook()
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, onRequest: hook.run })
  const port = await listen(app)
  const answer = refusedUpgrade(t, port, '/echo', await issueTicket(app, '/echo'))
  await hook.entered()
  await untilStats(app, { pendingHandshakes: 1, ips: 1 })
  clock.advance(1250)
  t.match(await answer, unavailable)
  await untilStats(app)
  hook.leave()
})

t.test('E5 a refused client that does not read is destroyed at the deadline', async (t) => {
  const clock = new ManualClock()
  const app = await buildApp(t, { plugin: { clock, handshakeTimeout: 1000 } })
  const huge = 'x'.repeat(50_000_000)
  app.get('/ws', { websocket: true, preHandler: async (_request, reply) => reply.code(403).send(huge) }, () => {})
  const port = await listen(app)
  const accepted = once(app.server, 'connection')
  const deaf = await connectRaw(t, port)
  const [socket] = await accepted
  deaf.socket.pause()
  deaf.write(handshakeBytes('/ws', undefined, { 'Sec-WebSocket-Protocol': undefined }))
  await untilStats(app, { pendingHandshakes: 1 })
  clock.advance(999)
  t.equal(socket.destroyed, false)
  clock.advance(1)
  t.equal(socket.destroyed, true)
  await untilStats(app)
  deaf.socket.resume()
  const received = await deaf.ended
  t.ok(received.length < huge.length)
})

t.test('E6 the caps on connections: one more is refused, and its place is given back once', async (t) => {
  const cases = [
    { plugin: { maxConnectionsPerUser: 1 }, status: 429, code: 'FST_WS_TICKET_USER_CONNECTION_LIMIT' },
    { plugin: { maxConnectionsPerIp: 1 }, status: 429, code: 'FST_WS_TICKET_IP_CONNECTED' },
    { plugin: { maxConnections: 1 }, status: 503, code: 'FST_WS_TICKET_SERVER_FULL' }
  ]
  for (const { plugin, status, code } of cases) {
    await t.test(code, async (t) => {
      const app = await buildEchoApp(t, { plugin })
      const port = await listen(app)
      const second = await issueTicket(app, '/echo')
      const first = await connect(t, app, '/echo')
      for (const _ of [1, 2]) {
        const { text, ...answer } = await refusedUpgrade(t, port, '/echo', second)
        t.match(answer, { status, code })
        t.match(text, /retry-after: 5\r\n/i)
      }
      await untilStats(app, { connections: 1, ips: 1, users: 1 })
      first.socket.close()
      await untilStats(app)
      t.match(await refusedUpgrade(t, port, '/echo', second, { Origin: 'null' }), { status: 403 })
      t.match(await upgradeStatus(t, app, '/echo', protocolsOf(second)), { status: 101 }, 'C5 the ticket stayed good')
    })
  }
})

t.test('E6 every refusal gives its places back', async (t) => {
  const { logger, lines } = captureLog()
  const plugin = { maxConnections: 1, maxConnectionsPerIp: 1, maxConnectionsPerUser: 1 }
  const app = await buildApp(t, { server: { logger }, plugin })
  let isFailing = true
  const preHandler = async (request: { ws: boolean | null }) => {
    if (request.ws && isFailing) throw new Error('no')
  }
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, preHandler })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  for (const _ of [1, 2, 3]) t.equal((await refusedUpgrade(t, port, '/echo', ticket)).status, 500, 'a hook that throws')
  isFailing = false
  for (const _ of [1, 2, 3]) t.equal((await refusedUpgrade(t, port, '/echo', 'x'.repeat(43))).status, 401)
  await untilStats(app)
  t.match(await upgradeStatus(t, app, '/echo', protocolsOf(ticket)), { status: 101 })
  t.same(
    lines.filter(({ level }) => level > 50),
    []
  )
})

t.test('the server closes while handshakes are under way: they are refused, and no ticket is used', async (t) => {
  const store = new SlowStore('find')
  const app = await buildEchoApp(t, { plugin: { store } })
  app.get('/app', { websocket: true }, (socket) => {
    socket.on('message', () => {})
  })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  const answer = refusedUpgrade(t, port, '/echo', ticket)
  const ofTheApp = open(t, app, '/app', [])
  await once(ofTheApp.socket, 'open')
  await store.whenAsked()
  await app.close()
  t.match(await answer, closing)
  t.equal((await ofTheApp.closed).code, 1005, "the app's own WebSockets are closed by its own server")
  store.answer()
  t.equal(store.redeemed, 0)
})

t.test('an upgrade that comes while the server closes is refused', async (t) => {
  const app = await buildEchoApp(t)
  let answer = ''
  app.addHook('preClose', async () => {
    raw.write(handshakeBytes('/echo', ticket))
    answer = await raw.ended
  })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  const raw = await connectRaw(t, port)
  await app.close()
  t.match(parseAnswer(answer), closing)
})

t.test('two registrations on one server: each upgrade is handled once, under the smaller limits', async (t) => {
  const { logger, lines } = captureLog()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  const handled: string[] = []
  for (const [prefix, maxHeaders] of [
    ['/a', 100],
    ['/b', 20]
  ] as const) {
    await app.register(
      async (scope) => {
        await scope.register(wsTicket, { allowedOrigins: [ORIGIN], maxHeaders })
        scope.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, onOpen: () => void handled.push(prefix) })
        scope.get('/rest', async () => 'rest')
        scope.get('/own', { websocket: true }, (socket) => socket.send('{"type":"own"}'))
      },
      { prefix }
    )
  }
  app.get('/root', async () => 'root')
  const port = await listen(app)
  for (const prefix of ['/a', '/b']) {
    const ticket = await issueTicket(app, `${prefix}/echo`)
    const client = open(t, app, `${prefix}/echo`, protocolsOf(ticket))
    t.match(await client.next(), { type: '$welcome' }, prefix)
    t.match(await client.request('echo', { text: 'x' }), { type: '$reply', payload: { text: 'x' } })
    t.match(await open(t, app, `${prefix}/own`, []).next(), { type: 'own' })
    t.match(await refusedUpgrade(t, port, `${prefix}/rest`), { status: 404, code: 'FST_WS_TICKET_NO_WEBSOCKET_ROUTE' })
  }
  t.same(handled, ['/a', '/b'])
  t.not((await refusedUpgrade(t, port, '/root')).status, 101, 'a route outside of both')
  const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`X-${i}`, 'x']))
  t.equal((await refusedUpgrade(t, port, '/a/echo', undefined, many)).status, 431)
  t.same(
    lines.filter(({ level }) => level >= 40),
    []
  )
})

t.test("another listener's WebSockets are left to it", async (t) => {
  const clock = new ManualClock()
  const app = await buildEchoApp(t, { plugin: { clock } })
  app.server.prependListener('upgrade', (request: IncomingMessage, socket: Duplex) => {
    if (request.url !== '/raw') return
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\nhello ')
    if (request.headers['x-reads'] === 'readable') socket.on('readable', () => socket.write(String(socket.read() ?? '')))
    else socket.on('data', (chunk) => socket.write(chunk))
  })
  const port = await listen(app)
  for (const reads of ['data', 'readable']) {
    const raw = await connectRaw(t, port)
    raw.write(handshakeBytes('/raw', undefined, { 'X-Reads': reads }))
    await raw.until('hello ')
    clock.advance(10_000)
    raw.write('ping')
    t.match(await raw.until('ping'), /hello ping$/)
    t.equal(app.wsTicket.stats().pendingHandshakes, 0)
  }
})

t.test('E3 garbage after a refused upgrade and a CONNECT are not answered with a 101', async (t) => {
  const app = await buildEchoApp(t)
  const port = await listen(app)
  t.not(parseAnswer(await exchange(t, port, 'CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n')).status, 101)
  t.equal(parseAnswer(await exchange(t, port, `${handshakeBytes('/echo')}\0\0garbage`)).status, 401)
})

interface DeferredHook {
  run(request: { ws: boolean | null }): Promise<void>
  entered(): Promise<void>
  leave(): void
}

/** A hook that holds upgrades until it is told to let them go. */
function deferredHook(): DeferredHook {
  const waiting: (() => void)[] = []
  return {
    run: (request) => (request.ws ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()),
    async entered() {
      while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve))
    },
    leave() {
      for (const resolve of waiting.splice(0)) resolve()
    }
  }
}

t.test('an upgrade on a connection that has served requests before is opened', async (t) => {
  const app = await buildEchoApp(t)
  app.get('/plain', async () => 'plain')
  const raw = await connectRaw(t, await listen(app))
  raw.write(requestBytes('GET /plain HTTP/1.1', { Host: 'localhost' }))
  await raw.until('plain')
  raw.write(requestBytes('GET /echo HTTP/1.1', handshakeHeaders(await issueTicket(app, '/echo'))))
  t.match(await raw.until('$welcome'), /HTTP\/1\.1 101 /)
})

t.test('J3 an upgrade behind a request that is not answered yet takes no place, and nothing is written before the answer', async (t) => {
  const { logger, lines } = captureLog('debug')
  const app = await buildEchoApp(t, { server: { logger } })
  const asked = new EventEmitter()
  app.get('/slow', () => {
    asked.emit('asked')
    return new Promise(() => {})
  })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  const body = { 'Content-Length': '2' }
  for (const [upgrade, more] of [
    ['websocket', {}],
    ['websocket', body],
    ['h2c', {}],
    ['websocket, h2c', {}]
  ] as const) {
    const raw = await connectRaw(t, port)
    const isAsked = once(asked, 'asked')
    raw.write(requestBytes('GET /slow HTTP/1.1', { Host: 'localhost' }))
    await isAsked
    raw.write(requestBytes('GET /echo HTTP/1.1', { ...handshakeHeaders(ticket), ...more, Upgrade: upgrade }))
    t.equal(await raw.ended, '', upgrade)
    t.match(app.wsTicket.stats(), { pendingHandshakes: 0, connections: 0 })
  }
  const code = 'FST_WS_TICKET_UPGRADE_TOO_EARLY'
  const told = lines.filter((line) => line.code === code)
  t.match(told[0], { level: 20, remoteAddress: '127.0.0.1', msg: /^An upgrade came on a connection before an earlier request/ })
  t.same(app.wsTicket.stats().totals.handshakes, { [code]: told.length }, 'each is counted')
  t.notMatch(JSON.stringify(lines), ticket)
  t.match(await upgradeStatus(t, app, '/echo', ['fastify-ws-ticket.v1', `ticket.${ticket}`]), { status: 101 })
})

t.test('J3 a list of headers that Node may have cut is refused, since one that frames the body may be missing', async (t) => {
  const app = await buildEchoApp(t)
  app.server.maxHeadersCount = 40
  const port = await listen(app)
  const extra = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`X-${i}`, 'x']))
  const headers = { Host: 'localhost', Connection: 'Upgrade', Upgrade: 'h2c', ...extra, 'Content-Length': '40' }
  const answer = await exchange(t, port, `${requestBytes('POST /echo/ticket HTTP/1.1', headers)}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n`)
  t.match(answer, /^HTTP\/1\.1 431 /)
  t.equal(answer.split('HTTP/1.1').length, 2, 'one answer')
})

t.test('a refused upgrade by injectWS gives its places back at once', async (t) => {
  const app = await buildEchoApp(t, { plugin: { handshakeTimeout: '1 minute' } })
  await app.ready()
  for (const origin of [ORIGIN, 'https://elsewhere.example.com']) {
    await t.rejects(app.injectWS('/echo', { headers: { host: 'localhost', origin } }), { message: /40[13]/ })
    await untilStats(app)
  }
})

t.test('E5 at shutdown a socket that takes no byte is destroyed, and its timer ends', async (t) => {
  const clock = new ManualClock()
  const app = await buildEchoApp(t, { plugin: { clock } })
  await app.ready()
  const timers = clock.timers
  const stuck = new Duplex({ read() {}, write() {} })
  const headers = { host: 'localhost', upgrade: 'websocket', connection: 'upgrade', origin: 'https://elsewhere.example.com' }
  app.server.emit('upgrade', { method: 'GET', url: '/echo', httpVersion: '1.1', headers }, stuck, Buffer.alloc(0))
  t.equal(clock.timers, timers + 1)
  t.equal(app.wsTicket.stats().pendingHandshakes, 1)
  await app.close()
  t.ok(stuck.destroyed)
  t.equal(clock.timers, 0)
})
