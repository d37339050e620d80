import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import Type from 'typebox'
import { defineContract, type TicketStore } from '../../src/index.js'
import { connect, type TestConnection } from '../../src/testing/index.js'
import { MemoryTicketStore } from '../../src/ticket/memory-store.js'
import { buildApp, echoContract, echoHandlers, ORIGIN } from '../fixtures/app.js'
import { listen, upgradeStatus } from '../fixtures/client.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { issueTicket } from '../fixtures/tickets.js'
import { as, buildTimedApp } from '../fixtures/timed-app.js'

const echo = { contract: echoContract, handlers: echoHandlers }

type Joined = TestConnection<typeof echoContract>

/** Connects a user. */
async function join(app: FastifyInstance, path: string, sub: string): Promise<Joined> {
  // patient, for a machine that is busy
  return await connect<typeof echoContract>(app, path, { user: { sub }, timeout: 30_000 })
}

async function hasNothingElse(t: Test, client: Joined): Promise<void> {
  await client.flushed()
  t.same(client.unread, [])
}

async function buildRooms(t: Test) {
  const app = await buildApp(t)
  const rooms = app.wsRoute('/rooms/:room', { ...echo, onOpen: (connection) => connection.subscribe(`room:${connection.params.room}`) })
  const other = app.wsRoute('/other', { ...echo, onOpen: (connection) => connection.subscribe('room:1') })
  return { app, rooms, other }
}

t.test('what is published to a topic comes to its subscribers of the route, and to nobody else', async (t) => {
  const { app, rooms } = await buildRooms(t)
  const inside = [await join(app, '/rooms/1', 'ann'), await join(app, '/rooms/1', 'bob')]
  const outside = [await join(app, '/rooms/2', 'ann'), await join(app, '/other', 'ann')]
  t.strictSame(rooms.publish('room:1', 'news', { text: 'hello' }), { delivered: 2 })
  t.strictSame(rooms.publish('room:3', 'news', { text: 'nobody' }), { delivered: 0 })
  for (const client of inside) t.strictSame(await client.next(), { type: 'news', topic: 'room:1', payload: { text: 'hello' } })
  for (const client of [...inside, ...outside]) await hasNothingElse(t, client)
})

t.test('a message is sent to a user, to a connection, or to all', async (t) => {
  const { app, rooms } = await buildRooms(t)
  const ann = await join(app, '/rooms/1', 'ann')
  const again = await join(app, '/rooms/2', 'ann')
  const bob = await join(app, '/rooms/1', 'bob')
  const elsewhere = await join(app, '/other', 'ann')
  const cases = [
    { target: { user: 'ann' }, receivers: [ann, again] },
    { target: { user: 'nobody' }, receivers: [] },
    { target: { user: '__proto__' }, receivers: [] },
    { target: { connection: bob.id }, receivers: [bob] },
    { target: { connection: elsewhere.id }, receivers: [] },
    { target: { all: true as const }, receivers: [ann, again, bob] }
  ]
  for (const [i, { target, receivers }] of cases.entries()) {
    const text = String(i)
    t.strictSame(rooms.send(target, 'news', { text }), { delivered: receivers.length })
    for (const client of receivers) t.strictSame(await client.next(), { type: 'news', payload: { text } })
  }
  for (const client of [ann, again, bob, elsewhere]) await hasNothingElse(t, client)
})

t.test('a REST route publishes', async (t) => {
  const { app, rooms } = await buildRooms(t)
  app.post<{ Params: { room: string }; Body: { text: string } }>('/api/rooms/:room', async ({ params, body }) =>
    rooms.publish(`room:${params.room}`, 'news', body)
  )
  const client = await join(app, '/rooms/1', 'ann')
  const response = await app.inject({ method: 'POST', url: '/api/rooms/1', payload: { text: 'from REST' } })
  t.strictSame(response.json(), { delivered: 1 })
  t.strictSame(await client.next(), { type: 'news', topic: 'room:1', payload: { text: 'from REST' } })
})

t.test('app.wsTicket publishes through every route that has the event', async (t) => {
  const { app } = await buildRooms(t)
  app.wsRoute('/silent', {
    contract: defineContract({ events: { alarm: Type.Object({}) } }),
    handlers: {},
    onOpen: (connection) => connection.subscribe('room:1')
  })
  const clients = [await join(app, '/rooms/1', 'ann'), await join(app, '/other', 'ann')]
  const silent = await join(app, '/silent', 'ann')
  t.strictSame(app.wsTicket.publish('room:1', 'news', { text: 'to all' }), { delivered: 2 })
  for (const client of clients) t.match(await client.next(), { type: 'news', topic: 'room:1' })
  t.strictSame(app.wsTicket.send({ user: 'ann' }, 'news', { text: 'to ann' }), { delivered: 2 })
  for (const client of clients) t.strictSame(await client.next(), { type: 'news', payload: { text: 'to ann' } })
  t.strictSame(app.wsTicket.send({ connection: silent.id }, 'alarm', {}), { delivered: 1 })
  t.strictSame(await silent.next(), { type: 'alarm', payload: {} })
  t.same(
    app.wsTicket.connections().map(({ userId }) => userId),
    ['ann', 'ann', 'ann']
  )
  const unknown = {
    code: 'FST_WS_TICKET_UNKNOWN_EVENT',
    message: "There is no event 'nowhere' in the contract of any route; known: news, alarm."
  }
  t.throws(() => app.wsTicket.publish('room:1', 'nowhere', {}), unknown)
  t.throws(() => app.wsTicket.send({ all: true }, 'nowhere', {}), unknown)
})

t.test('G11 an event that is unknown, does not match its schema, or is too large is never sent', async (t) => {
  const contract = defineContract({ messages: echoContract.messages, events: { news: Type.Object({ text: Type.Any() }) } })
  const app = await buildApp(t)
  const route = app.wsRoute('/echo', { contract, handlers: echoHandlers, maxBuffered: 2000 })
  const none = app.wsRoute('/none', { contract: defineContract({}), handlers: {} })
  const client = await join(app, '/echo', 'ann')
  const untyped: { publish(topic: string, event: string, payload: unknown): unknown } = Object(route)
  const [connection] = app.wsTicket.connections()
  const ways: ((event: string, payload: unknown) => unknown)[] = [
    (event, payload) => untyped.publish('all', event, payload),
    (event, payload) => Reflect.apply(route.send, route, [{ all: true }, event, payload]),
    (event, payload) => Reflect.apply(connection?.send ?? t.fail, connection, [event, payload])
  ]
  for (const send of ways) {
    t.throws(() => send('nothing', {}), { code: 'FST_WS_TICKET_UNKNOWN_EVENT', message: /'nothing' in the contract; known: news\.$/ })
    t.throws(() => send('__proto__', {}), { code: 'FST_WS_TICKET_UNKNOWN_EVENT' })
    t.throws(() => send('news', { text: 'a', more: 1 }), { code: 'FST_WS_TICKET_INVALID_EVENT', errors: [{ path: String }] })
    t.throws(() => send('news', {}), { code: 'FST_WS_TICKET_INVALID_EVENT', message: /'news'/ })
    t.throws(() => send('news', undefined), { code: 'FST_WS_TICKET_INVALID_EVENT' })
    t.throws(() => send('news', { text: 'x'.repeat(2000) }), { code: 'FST_WS_TICKET_FRAME_TOO_LARGE' })
    const circle: { text?: unknown } = {}
    circle.text = circle
    t.throws(() => send('news', circle), TypeError)
  }
  const unknown = { code: 'FST_WS_TICKET_UNKNOWN_EVENT', message: /known: none/ }
  t.throws(() => Reflect.apply(none.publish, none, ['all', 'news', {}]), unknown)
  const bare = await buildApp(t)
  t.throws(() => bare.wsTicket.publish('all', 'news', {}), unknown)
  await hasNothingElse(t, client)
})

t.test('a frame is built once, however many receive it', async (t) => {
  const { app, rooms } = await buildRooms(t)
  const clients = []
  for (let i = 0; i < 5; i++) clients.push(await join(app, '/rooms/1', `user ${i}`))
  let built = 0
  class News {
    text = 'once'
    toJSON() {
      built++
      return { text: this.text }
    }
  }
  t.strictSame(rooms.publish('room:1', 'news', new News()), { delivered: 5 })
  t.equal(built, 1)
  t.strictSame(rooms.send({ all: true }, 'news', new News()), { delivered: 5 })
  t.equal(built, 2)
  for (const client of clients) t.match(await client.next(), { type: 'news', payload: { text: 'once' } })
})

t.test('a receiver that is closing is not counted, and does not disturb the others', async (t) => {
  const { app, rooms } = await buildRooms(t)
  const leaving = await join(app, '/rooms/1', 'ann')
  const staying = await join(app, '/rooms/1', 'bob')
  const [connection] = rooms.connections()
  connection?.close()
  t.strictSame(rooms.publish('room:1', 'news', { text: 'hello' }), { delivered: 1 })
  t.strictSame(rooms.send({ all: true }, 'news', { text: 'again' }), { delivered: 1 })
  t.match(await leaving.closed(), { code: 1000 })
  t.same(leaving.unread, [])
  t.match(await staying.next(), { payload: { text: 'hello' } })
  t.match(await staying.next(), { payload: { text: 'again' } })
})

t.test('G9 disconnect closes the connections of a user on all routes and voids the unused tickets', async (t) => {
  const { app, rooms } = await buildRooms(t)
  await listen(app)
  const clients = [await join(app, '/rooms/1', 'ann'), await join(app, '/other', 'ann')]
  const bob = await join(app, '/rooms/1', 'bob')
  const ticket = await issueTicket(app, '/rooms/1')
  const bobs = await issueTicket(app, '/rooms/1', { claims: { sub: 'bob' } })
  t.strictSame(await app.wsTicket.disconnect({ user: 'ann' }), { disconnected: 2, ticketsVoided: 1 })
  for (const client of clients) t.strictSame(await client.closed(), { code: 4403, reason: 'disconnected by the server' })
  t.match(await upgradeStatus(t, app, '/rooms/1', ['fastify-ws-ticket.v1', `ticket.${ticket}`]), { status: 401 })
  await hasNothingElse(t, bob)
  t.match(await upgradeStatus(t, app, '/rooms/1', ['fastify-ws-ticket.v1', `ticket.${bobs}`]), { status: 101 })
  t.strictSame(await rooms.disconnect({ user: 'nobody' }), { disconnected: 0, ticketsVoided: 0 })
  t.ok(await join(app, '/rooms/1', 'ann'), 'with a new ticket the user may come back')
})

t.test('a route disconnects on itself only: a user, a connection, or all, with a code of choice', async (t) => {
  const { app, rooms } = await buildRooms(t)
  const ann = await join(app, '/rooms/1', 'ann')
  const bob = await join(app, '/rooms/1', 'bob')
  const cid = await join(app, '/rooms/1', 'cid')
  const elsewhere = await join(app, '/other', 'ann')
  t.strictSame(await rooms.disconnect({ connection: elsewhere.id }), { disconnected: 0, ticketsVoided: 0 })
  t.strictSame(await rooms.disconnect({ user: 'ann' }, 4000), { disconnected: 1, ticketsVoided: 0 })
  t.match(await ann.closed(), { code: 4000 })
  await issueTicket(app, '/rooms/1', { claims: { sub: 'bob' } })
  t.strictSame(await rooms.disconnect({ connection: bob.id }, 1001), { disconnected: 1, ticketsVoided: 0 })
  t.match(await bob.closed(), { code: 1001 })
  t.strictSame(await rooms.disconnect({ all: true }), { disconnected: 1, ticketsVoided: 1 })
  t.match(await cid.closed(), { code: 4403 })
  await hasNothingElse(t, elsewhere)
  t.strictSame(await app.wsTicket.disconnect({ all: true }), { disconnected: 1, ticketsVoided: 0 })
  t.match(await elsewhere.closed(), { code: 4403 })
})

t.test('an invalid close code is refused, and nobody is disconnected', async (t) => {
  const { app, rooms } = await buildRooms(t)
  const client = await join(app, '/rooms/1', 'ann')
  for (const code of [0, 999, 1006, 5000, Number.NaN]) {
    t.throws(() => rooms.disconnect({ all: true }, code), { code: 'FST_WS_TICKET_INVALID_CLOSE_CODE' })
    t.throws(() => app.wsTicket.disconnect({ user: 'ann' }, code), { code: 'FST_WS_TICKET_INVALID_CLOSE_CODE' })
  }
  await hasNothingElse(t, client)
})

t.test('a target that names nobody is refused, and nobody is reached', async (t) => {
  const { app, rooms } = await buildRooms(t)
  const client = await join(app, '/rooms/1', 'ann')
  const targets: unknown[] = [
    undefined,
    'ann',
    {},
    { usr: 'ann' },
    { user: undefined },
    { user: '' },
    { all: false },
    { all: true, user: 'ann' }
  ]
  for (const target of targets) {
    t.throws(() => Reflect.apply(rooms.send, rooms, [target, 'news', { text: 'x' }]), { code: 'FST_WS_TICKET_INVALID_TARGET' })
    t.throws(() => Reflect.apply(rooms.disconnect, rooms, [target]), { code: 'FST_WS_TICKET_INVALID_TARGET' })
  }
  await hasNothingElse(t, client)
})

/** A store that waits before it says that a ticket is redeemed. */
function waitingStore(clock: ManualClock) {
  const store = new MemoryTicketStore({ clock, maxTickets: 100, maxTicketsPerUser: 10 })
  let letGo: () => void = () => {}
  const isLetGo = new Promise<void>((resolve) => {
    letGo = resolve
  })
  let reached: () => void = () => {}
  const isReached = new Promise<void>((resolve) => {
    reached = resolve
  })
  const waiting: TicketStore = {
    issue: (...ticket) => store.issue(...ticket),
    find: (hash) => store.find(hash),
    async redeem(hash, usedBy) {
      const found = await store.redeem(hash, usedBy)
      reached()
      await isLetGo
      return found
    },
    voidUser: (userId) => store.voidUser(userId),
    size: () => store.size(),
    close: () => store.close()
  }
  return { waiting, isReached, letGo: () => letGo() }
}

t.test('G9 a disconnect reaches an upgrade whose ticket is redeemed but which is not open yet', async (t) => {
  for (const target of [{ user: 'ann' }, { all: true }] as const) {
    const clock = new ManualClock()
    const { waiting, isReached, letGo } = waitingStore(clock)
    const { app } = await buildTimedApp(t, { plugin: { store: waiting } })
    let opened = 0
    app.wsRoute('/echo', { ...echo, onOpen: () => void opened++ })
    await listen(app)
    const ticket = await issueTicket(app, '/echo', as({ sub: 'ann' }))
    const answer = upgradeStatus(t, app, '/echo', ['fastify-ws-ticket.v1', `ticket.${ticket}`], { origin: ORIGIN })
    await isReached
    t.strictSame(await app.wsTicket.disconnect(target), { disconnected: 0, ticketsVoided: 0 })
    letGo()
    t.match(await answer, { status: 401, body: { code: 'FST_WS_TICKET_INVALID_TICKET' } })
    t.equal(opened, 0)
    t.match(app.wsTicket.stats(), { connections: 0, counted: { users: 0 } })
  }
})

t.test('a disconnect of somebody else, or from before, does not disturb an upgrade', async (t) => {
  const clock = new ManualClock()
  const { waiting, isReached, letGo } = waitingStore(clock)
  const { app, clock: time } = await buildTimedApp(t, { plugin: { store: waiting } })
  app.wsRoute('/echo', echo)
  await listen(app)
  await app.wsTicket.disconnect({ user: 'ann' })
  await app.wsTicket.disconnect({ all: true })
  time.advance(1)
  const ticket = await issueTicket(app, '/echo', as({ sub: 'ann' }))
  const answer = upgradeStatus(t, app, '/echo', ['fastify-ws-ticket.v1', `ticket.${ticket}`])
  await isReached
  await app.wsTicket.disconnect({ user: 'bob' })
  await app.wsTicket.disconnect({ connection: 'another' })
  letGo()
  t.match(await answer, { status: 101 })
})

t.test('a store that fails at a disconnect closes connections all the same, and rejects', async (t) => {
  const store = new MemoryTicketStore({ clock: new ManualClock(), maxTickets: 100, maxTicketsPerUser: 10 })
  store.voidUser = () => Promise.reject(new Error('broken'))
  const app = await buildApp(t, { plugin: { store } })
  app.wsRoute('/echo', echo)
  const client = await join(app, '/echo', 'ann')
  const done = app.wsTicket.disconnect({ user: 'ann' })
  t.match(await client.closed(), { code: 4403 }, 'nobody has waited for it, and the process lives')
  await t.rejects(done, { code: 'FST_WS_TICKET_UNAVAILABLE', statusCode: 503, cause: { message: 'broken' } })
})

t.test('a topic that a connection leaves sends it nothing more', async (t) => {
  const app = await buildApp(t)
  const route = app.wsRoute('/echo', {
    contract: echoContract,
    handlers: {
      ...echoHandlers,
      note({ text }, connection) {
        if (text === 'join') connection.subscribe('news')
        else connection.unsubscribe('news')
      }
    }
  })
  const client = await join(app, '/echo', 'ann')
  await client.request('note', { text: 'join' })
  t.equal(app.wsTicket.stats().topics, 1)
  t.strictSame(route.publish('news', 'news', { text: 'one' }), { delivered: 1 })
  t.match(await client.next(), { topic: 'news', payload: { text: 'one' } })
  await client.request('note', { text: 'leave' })
  t.equal(app.wsTicket.stats().topics, 0)
  t.strictSame(route.publish('news', 'news', { text: 'two' }), { delivered: 0 })
  await hasNothingElse(t, client)
})
