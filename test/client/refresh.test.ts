import { once } from 'node:events'
import t, { type Test } from 'tap'
import type { BaseOptions } from '../../src/client/index.js'
import { becomes, ClientWorld } from '../fixtures/client-world.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { closeTimed } from '../fixtures/timed-app.js'
import { until } from '../fixtures/until.js'

/** A server whose sessions last a minute, and a client that is told half a minute ahead. */
async function startSession(t: Test, options: Partial<BaseOptions> = {}) {
  const clock = new ManualClock()
  const authenticate = ({ headers }: { headers: { authorization?: string | undefined } }) => {
    const sub = headers.authorization?.replace('Bearer ', '')
    if (sub === 'nobody') throw new Error('refused')
    return { sub }
  }
  const world = await ClientWorld.start(t, {
    plugin: { clock, authenticate, maxSession: 60_000, expiryNotice: 30_000, pingInterval: '1 hour' }
  })
  t.teardown(() => closeTimed({ app: world.app, clock }))
  const client = await world.openClient({ token: () => 'ann', ...options })
  // it is opened before the clock goes on
  await client.send('note', { text: 'x' })
  const [connection] = world.route.connections()
  if (!connection) throw new Error('there is no connection')
  return { world, client, clock, connection }
}

t.test('the session is extended on the open socket, again and again', async (t) => {
  const { world, client, clock, connection } = await startSession(t)
  for (const round of [1, 2, 3]) {
    const { expiresAt } = connection
    clock.advance(30_000)
    await until(() => connection.expiresAt > expiresAt)
    t.same(world.ticketBodies.slice(1), Array(round).fill(JSON.stringify({ refresh: connection.id })))
    // what the client is told next comes after the answer to its refresh
    t.same(await client.send('echo', { text: 'x' }), { text: 'x' })
  }
  t.same(world.statuses, ['open'])
  t.equal(world.sockets.length, 1)
})

t.test('a refresh that fails is tried again until it is done', async (t) => {
  let failures = 2
  const { world, clock, connection } = await startSession(t, {
    fetch: (url, init) => (init.body !== '{}' && failures-- > 0 ? Promise.reject(new Error('offline')) : fetch(url, init))
  })
  const { expiresAt } = connection
  clock.advance(30_000)
  await until(() => world.clock.delays.length === 2)
  t.same(world.clock.delays, [500, 30_000])
  world.clock.advance(500)
  await until(() => world.clock.delays.length === 2)
  t.same(world.clock.delays, [1000, 29_500])
  world.clock.advance(1000)
  await until(() => connection.expiresAt > expiresAt)
})

t.test('there is one refresh at a time, however often the server says that the session expires', async (t) => {
  let tokens = 0
  let isOffline = true
  const { world, clock, connection } = await startSession(t, {
    token: () => {
      tokens++
      return 'ann'
    },
    fetch: (url, init) => {
      return init.body !== '{}' && isOffline ? Promise.reject(new Error('offline')) : fetch(url, init)
    }
  })
  const expiring = () => {
    for (let i = 0; i < 300; i++) world.lastSocket.emit('message', Buffer.from('{"type":"$expiring","payload":{"expiresAt":1}}'), false)
  }
  expiring()
  await until(() => world.clock.delays.length === 2)
  t.same([tokens, world.clock.delays], [2, [500, 30_000]])
  expiring()
  t.same(world.clock.delays, [500, 30_000], 'nor while it waits to try again')
  isOffline = false
  const { expiresAt } = connection
  clock.advance(1000)
  world.clock.advance(500)
  await until(() => connection.expiresAt > expiresAt)
  t.equal(tokens, 3)
})

t.test('a refresh that is refused is tried again, once, and no more when the client is closed', async (t) => {
  let asked = 0
  const { world, client } = await startSession(t, {
    fetch: async (url, init) => {
      if (init.body === '{}') return fetch(url, init)
      asked++
      return Response.json({ ticket: 'of nobody' })
    }
  })
  const expiring = () => world.lastSocket.emit('message', Buffer.from('{"type":"$expiring","payload":{"expiresAt":1}}'), false)
  expiring()
  await until(() => world.clock.delays[0] === 500)
  expiring()
  await client.send('note', { text: 'x' })
  t.equal(asked, 1, 'also where the server told of the end meanwhile')
  t.same(world.clock.delays, [500, 30_000])
  client.close()
  t.same(world.clock.delays, [])
})

t.test('an end that is told in one breath with the answer to a refresh is not passed over', async (t) => {
  const { world, clock } = await startSession(t)
  const socket = world.lastSocket
  const send = socket.send.bind(socket)
  socket.send = (text: string) => {
    socket.send = send
    const { id } = JSON.parse(text)
    for (const frame of [{ type: '$reply', id }, { type: '$expiring' }]) socket.emit('message', Buffer.from(JSON.stringify(frame)), false)
  }
  clock.advance(30_000)
  await until(() => world.ticketBodies.length === 3)
})

t.test('a server that tells of the end without end, and does not answer a refresh, is asked once', async (t) => {
  const { world, client } = await startSession(t)
  const socket = world.lastSocket
  const send = socket.send.bind(socket)
  const refreshes: string[] = []
  socket.send = (text: string) => (text.includes('$refresh') ? refreshes.push(text) : send(text))
  const expiring = () => {
    for (let i = 0; i < 300; i++) socket.emit('message', Buffer.from('{"type":"$expiring"}'), false)
  }
  expiring()
  await until(() => refreshes.length === 1)
  expiring()
  // as long as another ticket would take
  await fetch(`${world.url}/ticket`, { method: 'POST' })
  await client.send('note', { text: 'x' })
  t.same([world.ticketBodies.length, refreshes.length], [2, 1])
})

t.test('a refresh that is refused for good leaves it to the attempt after the session', async (t) => {
  let user = 'ann'
  const { world, client, clock, connection } = await startSession(t, { token: () => user })
  user = 'nobody'
  clock.advance(30_000)
  await until(() => world.ticketBodies.length === 3)
  t.equal(client.status, 'open')
  user = 'ann'
  await client.send('note', { text: 'x' })
  clock.advance(30_000)
  await becomes(client, 'waiting')
  t.match(world.reasons.at(-1), { closeCode: 4401 })
  world.clock.advance(500)
  await becomes(client, 'open')
  t.not(world.route.connections()[0]?.id, connection.id)
})

t.test('a user who has gone is noticed by the refresh', async (t) => {
  let user: string | null = 'ann'
  const { world, client, clock } = await startSession(t, { token: () => user })
  user = null
  clock.advance(30_000)
  await becomes(client, 'closed')
  t.match(world.reasons.at(-1), { code: 'NO_USER' })
})

t.test('a refresh under way ends with its connection', async (t) => {
  const refreshes: AbortSignal[] = []
  const { world, client, clock } = await startSession(t, {
    fetch: (url, init) => {
      if (init.body === '{}') return fetch(url, init)
      refreshes.push(init.signal)
      return once(init.signal, 'abort').then(() => Promise.reject(init.signal.reason))
    }
  })
  clock.advance(30_000)
  await until(() => refreshes.length === 1)
  client.close()
  t.match(refreshes, [{ aborted: true }])
  await until(() => world.route.connections().length === 0)
  t.same(world.clock.delays, [])
})
