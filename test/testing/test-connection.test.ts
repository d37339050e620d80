import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import Type from 'typebox'
import { defineContract, type WsRoute } from '../../src/index.js'
import { type ConnectOptions, connect, manualClock, type TestConnection } from '../../src/testing/index.js'
import { type AppOptions, buildApp } from '../fixtures/app.js'
import { placeOf, rejectionOf } from '../fixtures/places.js'
import { until } from '../fixtures/until.js'

const text = Type.Object({ text: Type.String() })
const contract = defineContract({
  messages: {
    echo: { payload: text, reply: text },
    say: { payload: text },
    bare: { payload: Type.Object({}), reply: Type.Object({}) },
    fail: { payload: text }
  },
  events: { news: text, other: text }
})

interface World {
  readonly app: FastifyInstance
  readonly route: WsRoute<typeof contract>
  readonly ann: TestConnection<typeof contract>
  readonly connect: (options?: ConnectOptions) => Promise<TestConnection<typeof contract>>
}

/** A route on which `say` tells the news to all. */
async function build(t: Test, options: AppOptions & { readonly connect?: ConnectOptions } = {}): Promise<World> {
  const app = await buildApp(t, options)
  const route: WsRoute<typeof contract> = app.wsRoute('/talk', {
    contract,
    handlers: {
      echo: async (payload) => payload,
      say: (payload) => void route.publish('all', 'news', payload),
      bare: (payload) => payload,
      fail: ({ text }) => {
        throw Object.assign(new Error(text), { statusCode: 403, code: 'READ_ONLY' })
      }
    },
    onOpen: (connection) => connection.subscribe('all')
  })
  const open = (more?: ConnectOptions) =>
    connect<typeof contract>(app, '/talk', { user: { sub: 'ann' }, timeout: 30_000, ...options.connect, ...more })
  return { app, route, ann: await open(), connect: open }
}

t.test('frames are kept until they are asked for, in order or by type', async (t) => {
  const { route, ann } = await build(t)
  route.publish('all', 'news', { text: '1' })
  route.publish('all', 'other', { text: '2' })
  route.publish('all', 'news', { text: '3' })
  t.same(await ann.next('other'), { type: 'other', topic: 'all', payload: { text: '2' } })
  t.same((await ann.next()).payload, { text: '1' })
  t.same((await ann.next('news')).payload, { text: '3' })
  const [second, first] = [ann.next('other'), ann.next()]
  route.publish('all', 'news', { text: '4' })
  route.publish('all', 'other', { text: '5' })
  t.same([(await first).payload, (await second).payload], [{ text: '4' }, { text: '5' }])
})

t.test('a request resolves with its reply, whatever else comes', async (t) => {
  const { ann } = await build(t)
  const replies = await Promise.all(['1', '2', '3'].map((text) => ann.request('echo', { text })))
  t.same(replies, [{ text: '1' }, { text: '2' }, { text: '3' }])
  t.equal(await ann.request('say', { text: 'hello' }), null)
  t.same(ann.unread, [{ type: 'news', topic: 'all', payload: { text: 'hello' } }])
  t.same(await ann.request('bare'), {}, 'and a payload that is left out is an empty one')
})

t.test('a request that is refused rejects with all that the error says', async (t) => {
  const { ann } = await build(t)
  await t.rejects(ann.request('fail', { text: 'Only reading.' }), {
    code: 'READ_ONLY',
    statusCode: 403,
    message: 'fail was refused: READ_ONLY (403): Only reading.'
  })
  const invalid: unknown = JSON.parse('{ "text": 1 }')
  const refused = Reflect.apply(ann.request, ann, ['echo', invalid])
  await t.rejects(refused, {
    code: 'FST_WS_TICKET_INVALID_PAYLOAD',
    errors: [{ path: '/text' }],
    message: /^echo was refused: FST_WS_TICKET_INVALID_PAYLOAD \(400\): .*\. errors: '\/text' must be string$/
  })
  await t.rejects(Reflect.apply(ann.request, ann, ['none', {}]), {
    code: 'FST_WS_TICKET_UNKNOWN_TYPE',
    statusCode: 404,
    message: /'none'; known: echo, /
  })
  await t.rejects(Reflect.apply(ann.request, ann, ['echo', 1n]), { name: 'TypeError' })
  t.same(ann.unread, [])
})

t.test('a request beyond the rate rejects, though what is refused unread is refused without an id', async (t) => {
  const { ann } = await build(t, { plugin: { rateLimit: { max: 1, timeWindow: '1 minute' } } })
  await ann.request('echo', { text: '1' })
  await t.rejects(ann.request('echo', { text: '2' }), {
    code: 'FST_WS_TICKET_RATE_LIMITED',
    statusCode: 429,
    retryAfter: Number,
    message: /^echo was refused: FST_WS_TICKET_RATE_LIMITED \(429\): .*\. retryAfter: \d+$/
  })
})

t.test('a message that is only sent is handled, and not answered unless it is refused', async (t) => {
  const { ann } = await build(t)
  ann.send('say', { text: 'hello' })
  t.same((await ann.next()).payload, { text: 'hello' })
  ann.send('fail', { text: 'no' })
  t.match(await ann.next('$error'), { payload: { code: 'READ_ONLY', statusCode: 403 } })
  ann.socket.send('no JSON')
  t.match(await ann.next('$error'), { payload: { code: 'FST_WS_TICKET_INVALID_JSON' } })
})

t.test('a message that was only sent and is refused takes no request with it', async (t) => {
  const { ann } = await build(t)
  ann.send('say', Object({ text: 1 }))
  t.same(await ann.request('echo', { text: '1' }), { text: '1' })
  ann.send('say', Object({ text: 2 }))
  await ann.flushed()
  t.same(
    ann.unread.map(({ payload }) => Reflect.get(Object(payload), 'code')),
    ['FST_WS_TICKET_INVALID_PAYLOAD', 'FST_WS_TICKET_INVALID_PAYLOAD']
  )
})

t.test('what has not come by a flush was not sent', async (t) => {
  const { route, ann, connect } = await build(t)
  const bob = await connect({ user: { sub: 'bob' } })
  route.send({ user: 'bob' }, 'news', { text: 'for bob' })
  await Promise.all([ann.flushed(), bob.flushed()])
  t.same([ann.unread.length, bob.unread.length], [0, 1])
})

t.test('what does not come in time is told, with what came instead', async (t) => {
  const { route, ann } = await build(t)
  await t.rejects(ann.next('news', { timeout: 20 }), { code: 'TIMEOUT', message: 'news did not come within 20 ms; nothing else came.' })
  await t.rejects(ann.next(undefined, { timeout: 1 }), { code: 'TIMEOUT', message: /^A frame did not come within 1 ms/ })
  route.publish('all', 'other', { text: 'x'.repeat(400) })
  await t.rejects(ann.next('news', { timeout: 20 }), { message: /; unread is \{"type":"other","topic":"all","payload":\{"text":"x+…\.$/ })
  await t.rejects(ann.closed({ timeout: 20 }), { code: 'TIMEOUT', message: /^The close did not come within 20 ms; unread is/ })
  t.equal(ann.unread.length, 1)
  await ann.next('other')
  route.publish('all', 'other', { text: 'short' })
  await t.rejects(ann.next('news', { timeout: 20 }), {
    message: /; unread is \{"type":"other","topic":"all","payload":\{"text":"short"\}\}\.$/
  })
  route.publish('all', 'news', { text: 'late' })
  t.same((await ann.next('news')).payload, { text: 'late' }, 'who has given up takes nothing')
})

t.test('what does not come any more is told at once, with the reason', async (t) => {
  const { app, ann } = await build(t)
  const waiting = [ann.next('news'), ann.next()].map((next) => t.rejects(next, { code: 'DISCONNECTED', closeCode: 4403 }))
  await app.wsTicket.disconnect({ user: 'ann' })
  await Promise.all(waiting)
  t.match(await ann.closed(), { code: 4403 })
  await t.rejects(ann.next('news'), { code: 'DISCONNECTED', message: /^news did not come: closed with 4403 '.*'; nothing else came\.$/ })
  await t.rejects(ann.request('echo', { text: '1' }), { code: 'DISCONNECTED', closeCode: 4403, message: /^The answer to 'echo'/ })
})

t.test('a request whose answer does not come is told of', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/talk', {
    contract,
    handlers: { echo: () => new Promise<never>(() => {}), say: () => {}, bare: () => ({}), fail: () => {} },
    closeTimeout: 10
  })
  const ann = await connect<typeof contract>(app, '/talk', { user: { sub: 'ann' }, timeout: 30_000 })
  await t.rejects(ann.request('echo', { text: '1' }, { timeout: 10 }), {
    code: 'TIMEOUT',
    message: "The answer to 'echo' did not come within 10 ms; nothing else came."
  })
  const unanswered = t.rejects(ann.request('echo', { text: '2' }), { code: 'DISCONNECTED', closeCode: 4001 })
  t.same(await ann.close(4001, 'enough'), { code: 4001, reason: 'enough' })
  await unanswered
})

t.test('a session is extended by its user, or whoever is given', async (t) => {
  const { app, ann, connect } = await build(t, { connect: { user: { sub: 'ann', exp: Math.floor(Date.now() / 1000) + 60 } } })
  const soon = ann.expiresAt
  t.equal(await ann.refresh(), soon)
  const later = await ann.refresh({ user: { sub: 'ann' } })
  t.ok(later > soon)
  t.equal(ann.expiresAt, later)
  t.equal(app.wsTicket.connections()[0]?.expiresAt, later)
  t.equal(await ann.refresh({ token: app.jwt.sign({ sub: 'ann', exp: Math.floor(soon / 1000) }) }), soon)
  const byToken = await connect({ token: app.jwt.sign({ sub: 'ann', exp: Math.floor(soon / 1000) }) })
  t.equal(byToken.expiresAt, soon)
  t.ok((await byToken.refresh({ user: { sub: 'ann' } })) > soon)
  t.equal(await byToken.refresh({ headers: { 'x-more': '1' } }), soon)
  await t.rejects(ann.refresh({ token: 'none' }), { code: 'FST_WS_TICKET_UNAUTHENTICATED' })
  await t.rejects(ann.refresh({ user: { sub: 'bob' } }), { code: 'FST_WS_TICKET_INVALID_TICKET' })
})

t.test('it is closed where it is disposed of, even if it does not read', async (t) => {
  const { app, ann, connect } = await build(t)
  await ann[Symbol.asyncDispose]()
  t.same(await ann.closed(), { code: 1000, reason: '' })
  await ann[Symbol.asyncDispose]()
  const paused = await connect()
  paused.socket.pause()
  await paused[Symbol.asyncDispose]()
  t.match(await paused.closed(), { code: 1006 })
  await until(() => app.wsTicket.stats().connections === 0)
})

t.test('either side learns of it when the other is gone without a word', async (t) => {
  const { app, route, ann, connect } = await build(t)
  ann.socket.terminate()
  t.match(await ann.closed(), { code: 1006 })
  await until(() => route.connections().length === 0)
  const silent = await connect()
  silent.socket.once('message', () => silent.socket.pause())
  await app.close()
  t.match(await silent.closed(), { code: 1012 })
})

t.test('who stops reading gets all of it later, or is closed where it is too much', async (t) => {
  const { app, route, ann } = await build(t, { plugin: { maxBuffered: 100_000 } })
  const publish = (count: number) => {
    for (let n = 0; n < count; n++) route.publish('all', 'news', { text: `${n}`.padEnd(1000) })
  }
  ann.socket.pause()
  publish(150)
  ann.socket.resume()
  for (let n = 0; n < 150; n++) t.equal((await ann.next('news')).payload.text.trim(), `${n}`)
  ann.socket.pause()
  while (app.wsTicket.connections()[0]?.signal.aborted === false) publish(90)
  ann.socket.resume()
  t.same(await ann.closed(), { code: 1013, reason: 'too slow a reader' })
})

t.test('binary frames of a server of another kind are passed over', async (t) => {
  const { ann } = await build(t)
  ann.socket.emit('message', Buffer.from('nothing'), true)
  t.same(ann.unread, [])
})

t.test('what is rejected leads to the line of the test, whatever made it fail', async (t) => {
  const { app, ann } = await build(t)
  const leads = async (call: () => Promise<unknown>, here: Error) => t.equal(placeOf(await rejectionOf(call())), placeOf(here))
  await leads(() => ann.request('fail', { text: 'no' }), new Error('here'))
  await leads(() => ann.next('news', { timeout: 1 }), new Error('here'))
  await leads(() => ann.closed({ timeout: 1 }), new Error('here'))
  await leads(() => ann.refresh({ token: 'none' }), new Error('here'))
  await leads(() => connect(app, '/none'), new Error('here'))
  await leads(() => connect(app, 'none'), new Error('here'))
  await leads(() => manualClock().advance(1), new Error('here'))
  await leads(() => manualClock().advance(-1), new Error('here'))
  await ann.close()
  await leads(() => ann.flushed(), new Error('here'))
  await leads(() => ann.next(), new Error('here'))
  t.match(await rejectionOf(Reflect.apply(ann.request, ann, ['echo', 1n])), { stack: /JSON\.stringify/ }, 'and others keep their own')
})

/** A route whose messages and `onOpen` fail with what is thrown. */
async function buildFailing(t: Test, thrown: () => unknown, onOpen?: () => void): Promise<TestConnection<typeof contract>> {
  const app = await buildApp(t)
  const fail = (): never => {
    throw thrown()
  }
  app.wsRoute('/talk', {
    contract,
    handlers: { echo: () => Object({ text: 1 }), say: fail, bare: fail, fail: (_, connection) => void connection.send('news', Object({})) },
    ...(onOpen && { onOpen })
  })
  return await connect<typeof contract>(app, '/talk', { user: { sub: 'ann' }, timeout: 30_000 })
}

t.test('a request that the server has failed to handle says why, which no client is told', async (t) => {
  const thrown = new TypeError('x is not a function')
  const ann = await buildFailing(t, () => thrown)
  const error = await rejectionOf(ann.request('say', { text: '1' }))
  t.match(error, {
    code: 'FST_WS_TICKET_HANDLER_FAILED',
    statusCode: 500,
    message:
      'say was refused: FST_WS_TICKET_HANDLER_FAILED (500): The server failed to handle the message. Why: TypeError: x is not a function'
  })
  t.equal(Reflect.get(Object(error), 'cause'), thrown)
  await t.rejects(ann.request('echo', { text: '1' }), {
    message: /Why: Error: the reply does not match its schema: \[\{"path":"\/text","message":"must be string"\}\]$/,
    cause: { issues: [{ path: '/text' }] }
  })
  await t.rejects(ann.request('fail', { text: '1' }), { cause: { code: 'FST_WS_TICKET_INVALID_EVENT' } })
  ann.send('say', { text: 'of nobody' })
  await t.rejects(ann.request('echo', { text: '1' }), { cause: { message: 'the reply does not match its schema' } })
  await t.rejects(ann.next('news', { timeout: 1 }), { cause: thrown })
})

t.test('what never comes since the server has failed says so', async (t) => {
  const thrown = new Error('no database')
  const ann = await buildFailing(t, () => thrown)
  ann.send('say', { text: '1' })
  await ann.next('$error')
  await t.rejects(ann.next('news', { timeout: 1 }), { code: 'TIMEOUT', message: /came\. Why: Error: no database$/, cause: thrown })
  await t.rejects(ann.next('news', { timeout: 1 }), { message: /nothing else came\.$/ }, 'once')
  const bob = await buildFailing(
    t,
    () => thrown,
    () => {
      throw thrown
    }
  )
  await t.rejects(bob.next(), { code: 'DISCONNECTED', closeCode: 1011, cause: thrown })
})

t.test('whatever is thrown can be told, in short', async (t) => {
  let thrown: unknown
  const ann = await buildFailing(t, () => thrown)
  const messageFor = async (value: unknown) => {
    thrown = value
    return String(Reflect.get(Object(await rejectionOf(ann.request('bare'))), 'message')).replace(/^.* handle the message\. /, '')
  }
  const unreadable = new Proxy(new Error('no'), {
    get() {
      throw new Error('not to be read')
    }
  })
  t.equal(await messageFor({ reason: 'none' }), "Why: { reason: 'none' }")
  t.equal(await messageFor('none'), 'Why: none')
  t.equal(await messageFor(undefined), 'Why, says its log; give the app a logger: Fastify({ logger: true }).')
  t.equal(await messageFor(unreadable), 'Why, can not be said: what was thrown throws where it is read.')
  t.match(await messageFor(new Error('x'.repeat(1000))), /^Why: Error: x{493}…$/)
})

t.test('a message that could not be checked says why, and who is over the limit is told nothing of another', async (t) => {
  const app = await buildApp(t)
  const thrown = new Error('no such table')
  const raise = () => {
    throw thrown
  }
  const checked = defineContract({ messages: { picky: { payload: Type.Refine(Type.Object({}), raise) } } })
  app.wsRoute('/picky', { contract: checked, handlers: { picky: () => {} }, rateLimit: { max: 2, timeWindow: '1 minute' } })
  const ann = await connect<typeof checked>(app, '/picky', { user: { sub: 'ann' }, timeout: 30_000 })
  await t.rejects(ann.request('picky'), { code: 'FST_WS_TICKET_HANDLER_FAILED', cause: thrown })
  ann.send('picky')
  await ann.next('$error')
  const refused = await rejectionOf(ann.request('picky'))
  t.match(refused, { code: 'FST_WS_TICKET_RATE_LIMITED' })
  t.notOk(Object.hasOwn(Object(refused), 'cause'))
})
