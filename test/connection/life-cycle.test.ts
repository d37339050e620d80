import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { Connection } from '../../src/index.js'
import { echoContract, echoHandlers, ORIGIN } from '../fixtures/app.js'
import { connect, connectInjected, listen, portOf } from '../fixtures/client.js'
import { Closings } from '../fixtures/closings.js'
import { captureLog } from '../fixtures/log.js'
import { connectRaw, handshakeHeaders, type RawSocket, requestBytes } from '../fixtures/raw-socket.js'
import { issueTicket } from '../fixtures/tickets.js'
import { as, buildTimedApp, expiresIn } from '../fixtures/timed-app.js'
import { until } from '../fixtures/until.js'

const echo = { contract: echoContract, handlers: echoHandlers }
const NOTHING_LEFT = { connections: 0, pendingHandshakes: 0, topics: 0, counted: { users: 0, ips: 0, messageLimits: 0 } }

/** A promise and what settles it. */
function deferred<T = void>() {
  let resolve: (value: T) => void = () => {}
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<T>((...both) => {
    ;[resolve, reject] = both
  })
  return { promise, resolve, reject }
}

/** A masked frame of a client, with a text of less than 126 bytes. */
function maskedFrame(opcode: number, payload: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(payload)
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | bytes.length, 0, 0, 0, 0]), bytes])
}

/** A connection over a socket that answers nothing by itself. */
async function connectByHand(t: Test, app: FastifyInstance, sub = 'ann', path = '/echo'): Promise<RawSocket> {
  const raw = await connectRaw(t, portOf(app))
  const ticket = await issueTicket(app, path, as({ sub }))
  raw.write(requestBytes(`GET ${path} HTTP/1.1`, handshakeHeaders(ticket)))
  await raw.until('$welcome')
  return raw
}

t.test('$welcome comes first, and the connection shows who is connected', async (t) => {
  const { app, clock } = await buildTimedApp(t)
  const opened: Connection[] = []
  const route = app.wsRoute('/rooms/:room', {
    ...echo,
    authorize: () => ({ plan: 'free' }),
    onOpen(connection) {
      opened.push(connection)
      connection.subscribe('room:1')
      connection.subscribe('room:2')
      connection.unsubscribe('room:2')
      connection.unsubscribe('room:3')
      t.equal(connection.send('news', { text: 'at once' }), true)
    }
  })
  await listen(app)
  const claims = { sub: 'ann', role: 'admin', exp: expiresIn(clock, 60_000) }
  const client = await connect(t, app, '/rooms/a%20b', as(claims))
  const [connection] = opened
  if (!connection) throw new Error('onOpen did not run')
  const expiresAt = claims.exp * 1000
  t.strictSame(await client.next(), { type: '$welcome', payload: { connection: connection.id, expiresAt } })
  t.strictSame(await client.next(), { type: 'news', payload: { text: 'at once' } })
  t.match(connection.id, /^[0-9a-f-]{36}$/)
  t.match(connection, { user: claims, userId: 'ann', context: { plan: 'free' }, params: { room: 'a b' }, ip: '127.0.0.1', expiresAt })
  t.same([...connection.topics], ['room:1'])
  t.equal(connection.log, connection.log)
  t.equal(connection.signal.aborted, false)
  t.same(route.connections(), [connection])
  t.match(app.wsTicket.stats(), { connections: 1, topics: 1, counted: { users: 1, ips: 1 } })

  const aborted = once(connection.signal, 'abort')
  client.socket.close(1000, 'bye')
  await aborted
  t.equal(connection.send('news', { text: 'too late' }), false)
  connection.subscribe('room:4')
  connection.close(4000, 'too late')
  t.same([...connection.topics], [])
  t.same(route.connections(), [])
  t.match(app.wsTicket.stats(), NOTHING_LEFT)
})

t.test(
  'a signal that is asked for after the end is aborted, and the lines of a connection say which it is, its route and its user',
  async (t) => {
    const log = captureLog()
    const { app } = await buildTimedApp(t, { server: { logger: log.logger } })
    const closings = new Closings()
    app.wsRoute('/rooms/:room', { ...echo, onOpen: ({ log }) => log.info('hello'), onClose: closings.onClose })
    await listen(app)
    const client = await connect(t, app, '/rooms/1', as({ sub: 'ann\u001b\u009b' }))
    client.socket.terminate()
    const [closing] = await closings.count(1)
    t.match(closing, { code: 1006, reason: '', connection: { signal: { aborted: true } } })
    t.match(
      log.lines.find(({ msg }) => msg === 'hello'),
      { connection: closing?.connection.id, route: '/rooms/:room', user: 'ann\\u001b\\u009b' }
    )
  }
)

t.test('frames that come before an async onOpen is done are handled afterwards, in order', async (t) => {
  const { app } = await buildTimedApp(t)
  const isOpen = deferred()
  const handled: string[] = []
  app.wsRoute('/echo', {
    ...echo,
    handlers: { ...echoHandlers, note: ({ text }) => void handled.push(text) },
    onOpen: () => isOpen.promise
  })
  app.wsRoute('/other', echo)
  await listen(app)
  const client = await connect(t, app, '/echo', as({ sub: 'ann' }))
  await client.next()
  const texts = Array.from({ length: 20 }, (_, i) => String(i))
  for (const text of texts) client.send({ type: 'note', payload: { text } })
  const reply = client.request('echo', { text: 'last' })
  // gives the frames the time that a whole handshake takes
  await connectByHand(t, app, 'bob', '/other')
  t.same(handled, [], 'none before')
  isOpen.resolve()
  t.match(await reply, { type: '$reply', payload: { text: 'last' } })
  t.same(handled, texts)
})

t.test('an onOpen that answers with something to be awaited is awaited', async (t) => {
  const { app } = await buildTimedApp(t)
  let queried = 0
  // as the queries of some database libraries
  const query: PromiseLike<void> = {
    // biome-ignore lint/suspicious/noThenProperty: it is what makes it one
    then(resolve) {
      queried++
      return Promise.resolve().then(resolve)
    }
  }
  app.wsRoute('/echo', { ...echo, onOpen: () => Object(query) })
  const client = await connectInjected(app, '/echo', as({ sub: 'ann' }))
  await client.next()
  t.match(await client.request('echo', { text: 'open' }), { type: '$reply' })
  t.equal(queried, 1)
})

t.test('an onOpen that fails or never settles closes with 1011, is logged, and handles nothing', async (t) => {
  const log = captureLog()
  const { app, clock } = await buildTimedApp(t, { server: { logger: log.logger } })
  const closings = new Closings()
  const handled: string[] = []
  const opening: Record<string, () => void | Promise<void>> = {
    '/throws': () => {
      throw new Error('broken')
    },
    '/rejects': async () => {
      throw new Error('broken')
    },
    '/never': () => new Promise(() => {})
  }
  for (const [path, onOpen] of Object.entries(opening)) {
    app.wsRoute(path, {
      ...echo,
      handlers: { ...echoHandlers, note: ({ text }) => void handled.push(text) },
      onOpen,
      onClose: closings.onClose
    })
  }
  await listen(app)
  for (const path of Object.keys(opening)) {
    const client = await connect(t, app, path, as({ sub: 'ann' }))
    client.send({ type: 'note', payload: { text: path } })
    if (path === '/never') {
      clock.advance(9750)
      t.equal(app.wsTicket.stats().connections, 1)
      clock.advance(250)
    }
    t.strictSame(await client.closed, { code: 1011, reason: 'internal error' }, path)
  }
  t.match(await closings.count(3), [{ code: 1011 }, { code: 1011 }, { code: 1011 }])
  t.same(handled, [])
  const failures = log.lines.filter(({ msg }) => msg === 'the connection could not be opened')
  t.match(failures, [
    { level: 50, err: { message: 'broken' } },
    { level: 50, err: { message: 'broken' } },
    { level: 50, err: { code: 'FST_WS_TICKET_HANDLER_TIMEOUT' } }
  ])
  t.match(app.wsTicket.stats(), NOTHING_LEFT)
})

t.test('a slow onOpen is neither idle nor silent, and one that ends after the connection opens nothing', async (t) => {
  const { app, clock } = await buildTimedApp(t)
  const isOpen = deferred()
  const closings = new Closings()
  app.wsRoute('/echo', {
    ...echo,
    handlerTimeout: '1 hour',
    idleTimeout: 60_000,
    onOpen: () => isOpen.promise,
    onClose: closings.onClose
  })
  await listen(app)
  const client = await connect(t, app, '/echo', as({ sub: 'ann', exp: expiresIn(clock, 300_000) }))
  await client.next()
  clock.advance(200_000)
  t.equal(closings.all.length, 0)
  clock.advance(100_000)
  t.match(await client.closed, { code: 4401 }, 'but its session ends')
  isOpen.resolve()
  await nextTurn()
  const [closing] = await closings.count(1)
  t.equal(closing?.connection.send('news', { text: 'late' }), false)
})

t.test('an onOpen that fails after the connection is gone is not told to the client, and is no line in the log', async (t) => {
  const log = captureLog()
  const { app } = await buildTimedApp(t, { server: { logger: log.logger } })
  const opening = deferred()
  const closings = new Closings()
  app.wsRoute('/echo', { ...echo, onOpen: () => opening.promise, onClose: closings.onClose })
  await listen(app)
  const client = await connect(t, app, '/echo', as({ sub: 'ann' }))
  const lost = await connect(t, app, '/echo', as({ sub: 'bob' }))
  lost.socket.terminate()
  t.match(await closings.count(1), [{ code: 1006 }])
  await app.wsTicket.disconnect({ user: 'ann' })
  opening.reject(new Error('aborted'))
  t.match(await client.closed, { code: 4403 })
  t.match(await closings.count(2), [{ code: 1006 }, { code: 4403 }])
  t.same(
    log.lines.filter(({ msg }) => msg === 'the connection could not be opened'),
    []
  )
})

t.test('onClose runs once with code and reason, and one that fails is logged', async (t) => {
  const log = captureLog()
  const { app } = await buildTimedApp(t, { server: { logger: log.logger } })
  const closings = new Closings()
  app.wsRoute('/echo', { ...echo, onClose: closings.onClose })
  app.wsRoute('/throws', {
    ...echo,
    onClose(...closing) {
      closings.onClose(...closing)
      throw new Error('broken')
    }
  })
  app.wsRoute('/rejects', {
    ...echo,
    async onClose(...closing) {
      closings.onClose(...closing)
      throw new Error('broken')
    }
  })
  await listen(app)
  for (const path of ['/echo', '/throws', '/rejects']) {
    const client = await connect(t, app, path, as({ sub: 'ann' }))
    client.socket.close(4321, 'mine')
    await client.closed
  }
  t.match(await closings.count(3), [
    { code: 4321, reason: 'mine' },
    { code: 4321, reason: 'mine' },
    { code: 4321, reason: 'mine' }
  ])
  await nextTurn()
  t.match(
    log.lines.filter(({ msg }) => msg === 'onClose failed'),
    [{ err: { message: 'broken' } }, { err: { message: 'broken' } }]
  )
  t.match(app.wsTicket.stats(), NOTHING_LEFT)
})

t.test('G8 frames after close and after a disconnect are not handled, even in one segment', async (t) => {
  const { app } = await buildTimedApp(t)
  const closings = new Closings()
  const handled: string[] = []
  app.wsRoute('/echo', {
    ...echo,
    handlers: {
      ...echoHandlers,
      note({ text }, connection) {
        handled.push(text)
        if (text === 'close') connection.close(4000)
        if (text === 'disconnect') void app.wsTicket.disconnect({ user: connection.userId })
      }
    },
    onClose: closings.onClose
  })
  await listen(app)
  const note = (text: string) => maskedFrame(1, JSON.stringify({ type: 'note', payload: { text } }))
  for (const [first, code] of [
    ['close', 4000],
    ['disconnect', 4403]
  ] as const) {
    const raw = await connectByHand(t, app)
    raw.write(Buffer.concat([note(first), note('after'), maskedFrame(8)]))
    await raw.ended
    t.match((await closings.count(1)).splice(0), [{ code }])
  }
  t.same(handled, ['close', 'disconnect'])
})

t.test('E9 a peer that does not answer a close frame is gone by closeTimeout', async (t) => {
  const { app, clock } = await buildTimedApp(t)
  const closings = new Closings()
  app.wsRoute('/echo', { ...echo, onClose: closings.onClose })
  await listen(app)
  const raw = await connectByHand(t, app)
  app.wsTicket.connections()[0]?.close(4000, 'over')
  clock.advance(1750)
  t.equal(closings.all.length, 0)
  clock.advance(250)
  t.match(await closings.count(1), [{ code: 4000, reason: 'over' }])
  await raw.ended
  t.match(app.wsTicket.stats(), NOTHING_LEFT)
})

t.test('a bad frame behind one for which a peer is being closed does not change what is told of it', async (t) => {
  const { app, clock } = await buildTimedApp(t)
  const closings = new Closings()
  app.wsRoute('/echo', { ...echo, onClose: closings.onClose })
  await listen(app)
  const raw = await connectByHand(t, app)
  const ended = once(raw.socket, 'end')
  raw.write(Buffer.concat([maskedFrame(2, 'binary'), Buffer.from([0x83, 0x80, 0, 0, 0, 0])]))
  await until(() => app.wsTicket.connections().every(({ signal }) => signal.aborted))
  clock.advance(2000)
  t.match(await closings.count(1), [{ code: 1003 }])
  await ended
})

t.test('E9 a peer that closes, or breaks the protocol, and never hangs up is gone by closeTimeout', async (t) => {
  const { app, clock } = await buildTimedApp(t)
  const closings = new Closings()
  app.wsRoute('/echo', { ...echo, onOpen: (connection) => connection.subscribe('room'), onClose: closings.onClose })
  await listen(app)
  const endings = [
    { frame: maskedFrame(8, Buffer.from([0x0f, 0xa1])), code: 4001 },
    { frame: Buffer.from([0x83, 0x80, 0, 0, 0, 0]), code: 1002 }
  ]
  for (const { frame, code } of endings) {
    const raw = await connectByHand(t, app)
    raw.socket.allowHalfOpen = true
    const [connection] = app.wsTicket.connections()
    raw.write(frame)
    await once(raw.socket, 'end')
    t.equal(connection?.send('news', { text: 'nobody reads' }), false)
    t.equal(closings.all.length, 0)
    clock.advance(250)
    t.equal(app.wsTicket.stats().topics, 0)
    clock.advance(2000)
    t.match((await closings.count(1)).splice(0), [{ code }])
    t.match(app.wsTicket.stats(), NOTHING_LEFT)
    raw.socket.destroy()
  }
})

t.test('E6 the place of a connection is given back once, however it ends', async (t) => {
  const { app, clock } = await buildTimedApp(t, { plugin: { maxConnectionsPerUser: 1 } })
  const closings = new Closings()
  app.wsRoute('/echo', { ...echo, onClose: closings.onClose })
  await listen(app)
  const endings: ((raw: RawSocket) => void)[] = [
    (raw) => raw.socket.resetAndDestroy(),
    (raw) => raw.socket.end(),
    (raw) => raw.write(Buffer.concat([maskedFrame(8), maskedFrame(8)])),
    (raw) => raw.write(maskedFrame(2, 'binary')),
    () => void app.wsTicket.disconnect({ all: true })
  ]
  for (const [i, end] of endings.entries()) {
    const raw = await connectByHand(t, app)
    t.match(app.wsTicket.stats(), { connections: 1, counted: { users: 1, ips: 1 } })
    end(raw)
    await nextTurn()
    while (closings.all.length <= i) {
      clock.advance(250)
      await nextTurn()
    }
    t.match(app.wsTicket.stats(), NOTHING_LEFT)
  }
  t.equal(closings.all.length, endings.length)
})

t.test('an app that has set another binaryType still gets texts, and refuses binary', async (t) => {
  const { app } = await buildTimedApp(t)
  app.wsRoute('/echo', echo)
  await listen(app)
  app.websocketServer.on('connection', (socket) => {
    socket.binaryType = 'arraybuffer'
  })
  const client = await connect(t, app, '/echo', as({ sub: 'ann' }), { origin: ORIGIN })
  await client.next()
  t.match(await client.request('echo', { text: 'text' }), { payload: { text: 'text' } })
  client.socket.send(Buffer.from('binary'))
  t.match(await client.closed, { code: 1003 })
})

t.test('an onOpen that returns what throws where a promise rejects has failed', async (t) => {
  const { app } = await buildTimedApp(t)
  const failing = new Error('no connection to the database')
  const throws = () => {
    throw failing
  }
  const returned = [{ get: throws }, { value: throws }].map((then) => Object.defineProperty(Promise.resolve(), 'then', then))
  for (const [index, opened] of returned.entries()) app.wsRoute(`/odd${index}`, { ...echo, onOpen: () => opened })
  await listen(app)
  for (const index of returned.keys()) {
    const client = await connect(t, app, `/odd${index}`, as({ sub: 'ann' }))
    t.match(await client.closed, { code: 1011, reason: 'internal error' })
  }
})
