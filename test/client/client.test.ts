import t from 'tap'
import { createClient } from '../../src/client/index.js'
import { becomes, ClientWorld } from '../fixtures/client-world.js'
import { until } from '../fixtures/until.js'

t.test('a message is answered by its reply, and one without a reply by null', async (t) => {
  const world = await ClientWorld.start(t)
  const client = world.client()
  t.equal(client.status, 'connecting')
  t.same(await client.send('echo', { text: 'hello' }), { text: 'hello' }, 'also when it is sent before there is a connection')
  t.equal(await client.send('note', { text: 'x' }), null)
  t.equal(client.status, 'open')
  t.same(world.statuses, ['open'])
})

t.test('what the server refuses is an error with its code, status, wait and objections', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  await t.rejects(client.send('fail', { statusCode: 409 }), {
    name: 'WsTicketError',
    code: 'REFUSED',
    message: 'refused',
    statusCode: 409,
    retryAfter: 70_000,
    mayHaveExecuted: false,
    isFinal: false
  })
  await t.rejects(client.send('fail', { statusCode: 500 }), { code: 'FST_WS_TICKET_HANDLER_FAILED', mayHaveExecuted: true })
  await t.rejects(client.send('echo', { text: 'x'.repeat(101) }), {
    code: 'FST_WS_TICKET_INVALID_PAYLOAD',
    statusCode: 400,
    errors: [{ path: '/text' }]
  })
})

t.test('what is no JSON is refused before it is sent', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  const circular: { text: string; self?: object } = { text: 'x' }
  circular.self = circular
  await t.rejects(client.send('echo', circular), TypeError)
  t.same(world.clock.delays, [30_000], 'and nothing is left of it but the heartbeat')
})

t.test('listeners get the events of their type with the topic until they are taken off', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  const told: unknown[] = []
  const listener = (payload: { text: string }, topic: string | undefined) => told.push([payload.text, topic])
  const undo = client.on('news', listener)
  client.on('news', listener)
  world.route.publish('all', 'news', { text: '1' })
  world.route.publish('all', 'other', { text: 'nobody listens to that' })
  await client.send('note', { text: 'x' })
  undo()
  undo()
  world.route.send({ all: true }, 'news', { text: '2' })
  await client.send('note', { text: 'x' })
  t.same(told, [
    ['1', 'all'],
    ['1', 'all'],
    ['2', undefined]
  ])
})

t.test('a listener that throws is told to onError and keeps nobody from being told', async (t) => {
  const world = await ClientWorld.start(t)
  const errors: unknown[] = []
  const client = await world.openClient({ onError: (error) => errors.push(error) })
  const told: string[] = []
  client.on('news', () => {
    throw 'a fault'
  })
  client.on('news', ({ text }) => told.push(text))
  world.route.publish('all', 'news', { text: '1' })
  await client.send('note', { text: 'x' })
  t.same(errors, ['a fault'])
  t.same(told, ['1'])
})

t.test('events are iterated in order, and the loop takes its listeners off', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  const news = client.events('news')
  const seen: string[] = []
  const reading = (async () => {
    for await (const { text } of news) {
      seen.push(text)
      if (text === '3') break
    }
  })()
  for (const text of ['1', '2', '3']) world.route.publish('all', 'news', { text })
  await reading
  t.same(seen, ['1', '2', '3'])
})

t.test('an iteration ends with close, and throws when the client stops because of an error', async (t) => {
  const world = await ClientWorld.start(t)
  const closed = await world.openClient()
  const ended = closed.events('news')[Symbol.asyncIterator]().next()
  closed.close()
  t.match(await ended, { done: true })
  t.match(await closed.events('news')[Symbol.asyncIterator]().next(), { done: true }, 'and so does one that begins then')

  const stopped = await world.openClient()
  const thrown = stopped.events('news')[Symbol.asyncIterator]().next()
  await Promise.all([t.rejects(thrown, { code: 'DISCONNECTED', closeCode: 4403 }), world.route.disconnect({ all: true })])
})

t.test('close leaves no timer, no listener and no answer open', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  const answer = client.send('hold', { text: '1' }, { signal: new AbortController().signal })
  await until(() => world.handled.length === 1)
  client.close()
  client.close()
  await t.rejects(answer, { code: 'CLIENT_CLOSED', mayHaveExecuted: true })
  await t.rejects(client.send('echo', { text: 'x' }), { code: 'CLIENT_CLOSED', mayHaveExecuted: false })
  t.same(world.clock.delays, [])
  t.same(world.statuses, ['open', 'closed'], 'it is told once')
  t.same(world.reasons, [undefined, undefined])
  await until(() => world.route.connections().length === 0)
  await world.release()
})

t.test('a client that is closed before the ticket comes opens nothing', async (t) => {
  const world = await ClientWorld.start(t)
  const client = world.client({
    fetch: async (url, init) => {
      const response = await fetch(url, { ...init, signal: null })
      client.close()
      return response
    }
  })
  const refused = world.client({ token: () => Promise.reject(new Error('asked in vain')) })
  refused.close()
  await becomes(client, 'closed')
  await client.send('echo', { text: 'x' }).catch(() => {})
  await until(() => world.app.wsTicket.stats().tickets === 1)
  t.equal(world.sockets.length, 0)
  t.same(world.clock.delays, [])
})

t.test('onOpen runs at each welcome, ahead of what waits', async (t) => {
  const world = await ClientWorld.start(t)
  const client = world.client({ onOpen: (client) => client.send('echo', { text: 'join' }) })
  const waited = client.send('echo', { text: 'waited' })
  await waited
  t.same(world.handled, ['join', 'waited'])
  world.lastSocket.terminate()
  await becomes(client, 'waiting')
  const again = client.send('echo', { text: 'again' })
  world.clock.advance(500)
  await again
  t.same(world.handled, ['join', 'waited', 'join', 'again'])
})

t.test('what onOpen throws is told to onError, but not that the connection was lost meanwhile', async (t) => {
  const world = await ClientWorld.start(t)
  const errors: unknown[] = []
  const onError = (error: unknown) => errors.push(error)
  await world.openClient({
    onError,
    onOpen: () => {
      throw 'a fault'
    }
  })
  const lost = world.client({ onError, onOpen: (client) => client.send('hold', { text: '1' }) })
  await until(() => world.handled.length === 1)
  world.lastSocket.terminate()
  await becomes(lost, 'waiting')
  lost.close()
  const closed = world.client({ onError, onOpen: (client) => client.send('hold', { text: '2' }) })
  await until(() => world.handled.length === 2)
  closed.close()
  world.client({ onError, onOpen: (client) => client.send('fail', { statusCode: 403 }) })
  await until(() => errors.length === 2)
  t.match(errors, ['a fault', { code: 'REFUSED' }])
  await world.release()
})

t.test('a listener of the status may close the client', async (t) => {
  const world = await ClientWorld.start(t)
  for (const wanted of ['open', 'waiting', 'connecting'] as const) {
    const client = world.client()
    client.onStatus((status) => {
      if (status === wanted) client.close()
    })
    await until(() => client.status === 'open' || client.status === 'closed')
    if (client.status === 'open') world.lastSocket.terminate()
    await until(() => client.status !== 'open')
    world.clock.advance(wanted === 'connecting' ? 500 : 0)
    await becomes(client, 'closed')
    t.same(world.clock.delays, [], wanted)
  }
})

t.test('where there is no WebSocket it is said what to do', async (t) => {
  const { WebSocket } = globalThis
  Reflect.deleteProperty(globalThis, 'WebSocket')
  t.teardown(() => Reflect.set(globalThis, 'WebSocket', WebSocket))
  t.throws(() => createClient({ url: 'http://x', token: () => null }), {
    name: 'TypeError',
    message: /`WebSocket` must be a class, as in ws/
  })
})
