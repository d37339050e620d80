import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import Type from 'typebox'
import { type Connection, defineContract } from '../../src/index.js'
import { makeCertificate } from '../fixtures/certificate.js'
import { connect, listen, portOf } from '../fixtures/client.js'
import { Closings } from '../fixtures/closings.js'
import { frame, messageFrame, Opcode, openRaw } from '../fixtures/frames.js'
import { captureLog } from '../fixtures/log.js'
import { findCommand } from '../fixtures/parts.js'
import { connectRaw, handshakeHeaders, type RawSocket, requestBytes } from '../fixtures/raw-socket.js'
import { withHttps } from '../fixtures/server-options.js'
import { issueTicket } from '../fixtures/tickets.js'
import { as, buildTimedApp } from '../fixtures/timed-app.js'
import { until } from '../fixtures/until.js'

const contract = defineContract({
  messages: { echo: { payload: Type.Object({ text: Type.String() }), reply: Type.Object({ text: Type.String() }) } },
  events: { news: Type.Object({ text: Type.String() }) }
})
const BIG = { text: 'x'.repeat(60_000) }

async function buildNewsApp(t: Test, server: FastifyServerOptions = {}) {
  const { app, clock } = await buildTimedApp(t, { server, plugin: { pingInterval: '1 hour' } })
  const closings = new Closings()
  const route = app.wsRoute('/news', {
    contract,
    handlers: { echo: (payload) => payload },
    maxBuffered: 100_000,
    // what is to be seen here is the buffer, not the count of pings
    frameLimit: { max: 1_000_000, timeWindow: 1000 },
    onOpen: (connection) => connection.subscribe('all'),
    onClose: closings.onClose
  })
  await listen(app)
  return { app, clock, route, closings }
}

/** Opens a connection and reads nothing any more. */
async function connectDeaf(t: Test, app: Awaited<ReturnType<typeof buildNewsApp>>['app'], sub: string) {
  const raw = await connectRaw(t, portOf(app))
  raw.write(requestBytes('GET /news HTTP/1.1', handshakeHeaders(await issueTicket(app, '/news', as({ sub })))))
  await raw.until('$welcome')
  raw.socket.pause()
  return raw
}

t.test('H7 a slow reader is closed with 1013 at the buffer limit; others lose nothing', async (t) => {
  const { logger, lines } = captureLog()
  const { app, clock, route, closings } = await buildNewsApp(t, { logger })
  await connectDeaf(t, app, 'deaf')
  const reader = await connect(t, app, '/news', as({ sub: 'ann' }))
  await reader.next()
  let published = 0
  while (route.publish('all', 'news', { text: `${published} ${BIG.text}` }).delivered === 2) {
    published++
    t.match(await reader.next(), { type: 'news', payload: { text: new RegExp(`^${published - 1} `) } })
    if (published > 2000) throw new Error('the buffer has no limit')
  }
  t.match(await reader.next(), { type: 'news' }, 'the reader is still served')
  t.equal(route.publish('all', 'news', BIG).delivered, 1, 'and the other is not any more')
  await reader.next()
  t.equal(route.connections().length, 2, 'it has closeTimeout to read what is left')
  clock.advance(2000)
  t.match(await closings.count(1), [{ code: 1013, reason: 'too slow a reader', connection: { userId: 'deaf' } }])
  t.equal(route.connections().length, 1)
  t.strictSame(app.wsTicket.stats().totals.routes['/news']?.closes, { 1013: 1 }, 'which is how slow readers are counted')
  t.match(
    lines.filter((line) => 'closeCode' in line),
    [{ closeCode: 1013, reason: 'too slow a reader', user: 'deaf' }]
  )
  t.match(await reader.request('echo', { text: 'still here' }), { type: '$reply' })
})

t.test('H7 a slow reader is noticed in a round, without anything more being sent, once it has had time', async (t) => {
  const { app, clock, route, closings } = await buildNewsApp(t)
  const [[socket]] = await Promise.all([once(app.websocketServer, 'connection'), connectDeaf(t, app, 'deaf')])
  const [connection] = route.connections()
  if (!connection) throw new Error('there is no connection')
  while (socket.bufferedAmount <= 100_000) connection.send('news', BIG)
  clock.advance(5000)
  t.equal(connection.signal.aborted, false, 'the first round has seen it 250 ms ago')
  clock.advance(250)
  t.equal(connection.signal.aborted, true)
  clock.advance(2000)
  t.match(await closings.count(1), [{ code: 1013 }])
})

const PING = Buffer.concat([Buffer.from([0x89, 0x80 | 125, 0, 0, 0, 0]), Buffer.alloc(125)])
const PINGS = Buffer.concat(Array.from({ length: 500 }, () => PING))

/** Sends pings and reads no pong until the connection is given up; answers how many bytes it took. */
async function flood({ socket }: RawSocket, { signal }: Connection): Promise<number> {
  let sent = 0
  while (!signal.aborted && sent < 200_000_000) {
    const hasRoom = socket.write(PINGS)
    sent += PINGS.length
    if (hasRoom) await nextTurn()
    else await Promise.race([once(socket, 'drain').catch(() => {}), once(signal, 'abort')])
  }
  return sent
}

t.test('H6 a peer that floods with pings and reads no pong is closed', async (t) => {
  const { app, clock, closings } = await buildNewsApp(t)
  const raw = await connectDeaf(t, app, 'deaf')
  const [connection] = app.wsTicket.connections()
  if (!connection) throw new Error('there is no connection')
  t.ok((await flood(raw, connection)) < 200_000_000)
  clock.advance(2250)
  t.equal((await closings.count(1)).length, 1)
  t.equal(app.wsTicket.stats().connections, 0)
})

t.test('H6 a ping flood is closed with 1013 where ws itself sets no limit to pongs', async (t) => {
  const { app, clock, closings } = await buildNewsApp(t)
  // as it is in versions of ws that do not know the option
  app.websocketServer.on('connection', (socket) => Reflect.set(socket, '_maxPendingAutoPongs', 0))
  const raw = await connectDeaf(t, app, 'deaf')
  const [connection] = app.wsTicket.connections()
  if (!connection) throw new Error('there is no connection')
  t.ok((await flood(raw, connection)) < 200_000_000)
  clock.advance(2000)
  t.match(await closings.count(1), [{ code: 1013, reason: 'too slow a reader' }])
  t.equal(app.wsTicket.stats().connections, 0)
})

/** Opens a connection that reads by TLS, and one here that sends to it. */
async function openByTls(t: Test) {
  const world = await buildNewsApp(t, withHttps(await makeCertificate(t)))
  const [[socket], reader] = await Promise.all([
    once(world.app.websocketServer, 'connection'),
    connect(t, world.app, '/news', as({ sub: 'ann' }), { rejectUnauthorized: false })
  ])
  await reader.next()
  const [connection] = world.route.connections()
  if (!connection) throw new Error('there is no connection')
  const send = (count: number) => Array.from({ length: count }, () => connection.send('news', BIG)).filter(Boolean).length
  return { ...world, socket, reader, connection, send }
}

if (findCommand('openssl')) {
  t.test('H7 who reads by TLS is not taken for slow for what one turn has for it, and gets all of it', async (t) => {
    const { socket, clock, reader, connection, send, closings } = await openByTls(t)
    for (const age of [250, 5000, 5000]) {
      t.equal(send(3), 3, 'nothing of it leaves before the turn ends')
      // each round sees more than may wait, and none of it is what the one before has seen
      clock.advance(age)
      for (let i = 0; i < 3; i++) t.match(await reader.next(), { type: 'news' })
      // the server learns a little later than the reader that all has left
      await until(() => socket.bufferedAmount === 0)
    }
    t.match(await reader.request('echo', { text: 'still here' }), { type: '$reply' })
    t.equal(connection.signal.aborted, false)
    t.same(closings.all, [])
  })

  t.test('H7 one turn can not have more than twice the limit wait by TLS', async (t) => {
    const { reader, connection, send } = await openByTls(t)
    t.equal(send(10), 4, 'the one that goes past it is the last')
    t.equal(connection.signal.aborted, true)
    for (let i = 0; i < 4; i++) t.match(await reader.next(), { type: 'news' })
    t.match(await reader.closed, { code: 1013, reason: 'too slow a reader' })
  })

  t.test('H7 who reads nothing by TLS is closed with 1013, when much is sent and when little is', async (t) => {
    for (const [frames, patience] of [
      [1000, 0],
      [1, 5250]
    ] as const) {
      const { socket, clock, reader, connection, send, closings } = await openByTls(t)
      reader.socket.pause()
      for (let turns = 0; socket.bufferedAmount <= 100_000 && turns < 2000; turns++) {
        send(1)
        // by then a system that has room has taken it
        for (let i = 0; i < 4; i++) await nextTurn()
      }
      send(frames - 1)
      clock.advance(patience)
      t.equal(connection.signal.aborted, true)
      clock.advance(2250)
      t.match(await closings.count(1), [{ code: 1013, reason: 'too slow a reader' }])
    }
  })
}

const MANY = 20
const LINE = { text: 'x'.repeat(1000) }

t.test('H7 who reads all the time is not taken for slow, however much one turn has for it, and whenever it is looked at', async (t) => {
  const { app, clock } = await buildTimedApp(t)
  const closings = new Closings()
  const repeat = (send: () => unknown) => Array.from({ length: MANY }, send)
  const route = app.wsRoute('/news', {
    contract,
    handlers: { echo: (payload) => payload },
    maxBuffered: 4096,
    rateLimit: { max: 1000, timeWindow: 1000 },
    inFlight: MANY,
    async onOpen(connection) {
      await connection.subscribe('all')
    },
    onClose: closings.onClose
  })
  app.wsRoute('/history', {
    contract,
    handlers: { echo: (payload) => payload },
    maxBuffered: 4096,
    onOpen: (connection) => void repeat(() => t.equal(connection.send('news', LINE), true)),
    onClose: closings.onClose
  })
  await listen(app)
  const open = (path: string, sub: string) => openRaw(t, app, { path, request: as({ sub }) })
  const [reader, history] = await Promise.all([open('/news', 'ann'), open('/history', 'bob')])
  const types = async (client = reader, count = MANY) => {
    const found = new Set<string>()
    for (let i = 0; i < count; i++) found.add((await client.next()).type)
    return [...found]
  }
  t.same(await types(history), ['news'], 'what is sent while it opens')
  repeat(() => t.equal(route.publish('all', 'news', LINE).delivered, 1))
  t.same(await types(), ['news'], 'what is published')
  const requests = Array.from({ length: MANY }, (_, id) => messageFrame({ type: 'echo', id, payload: LINE }))
  reader.write(...requests)
  t.same(await types(), ['$reply'], 'what is answered')
  reader.write(...requests, frame({ opcode: Opcode.ping }))
  t.same(await types(), ['$reply'], 'what is answered before a ping')
  for (const text of ['x'.repeat(3000), 'x'.repeat(3000)]) route.publish('all', 'news', { text })
  clock.advance(250)
  t.same(await types(reader, 2), ['news'], 'what waits when a round comes')
  t.same(closings.all, [])
})
