import t from 'tap'
import { becomes, ClientWorld } from '../fixtures/client-world.js'
import { until } from '../fixtures/until.js'

t.test('an answer that takes too long is not waited for, and passed over when it comes', async (t) => {
  const world = await ClientWorld.start(t, {}, { inFlight: 2 })
  const client = await world.openClient()
  const slow = client.send('hold', { text: '1' }, { timeout: 100 })
  await until(() => world.handled.length === 1)
  world.clock.advance(100)
  await t.rejects(slow, { code: 'TIMEOUT', mayHaveExecuted: true })
  await world.release()
  t.same(await client.send('echo', { text: '2' }), { text: '2' })
  t.same(await client.send('echo', { text: '3' }, { timeout: Number.POSITIVE_INFINITY }), { text: '3' })
})

t.test('a payload that is left out is an empty one', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  t.same(
    [await client.send('bare'), await client.send('bare', undefined, { timeout: 20_000 }), await client.send('bare', {})],
    [{}, {}, {}]
  )
})

t.test('a message that waits for a connection in vain was not executed', async (t) => {
  const world = await ClientWorld.start(t)
  const client = world.client({ token: () => new Promise<never>(() => {}), connectTimeout: 60_000 })
  const waiting = client.send('echo', { text: '1' })
  world.clock.advance(30_000)
  await t.rejects(waiting, { code: 'TIMEOUT', mayHaveExecuted: false })
})

t.test('a signal gives a message up, before and while it is on its way', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  await t.rejects(client.send('echo', { text: 'x' }, { signal: AbortSignal.abort('early') }), { code: 'ABORTED', cause: 'early' })
  const abort = new AbortController()
  const answer = client.send('hold', { text: '1' }, { signal: abort.signal })
  await until(() => world.handled.length === 1)
  abort.abort('late')
  await t.rejects(answer, { code: 'ABORTED', cause: 'late', mayHaveExecuted: true })
  t.same(world.handled, ['1'])
  t.same(world.clock.delays, [30_000])
  await world.release()
})

t.test('no more messages wait for a connection than may', async (t) => {
  const world = await ClientWorld.start(t)
  const client = world.client({ queueLimit: 2 })
  const sent = ['1', '2', '3'].map((text) => client.send('echo', { text }))
  const [first, second, third] = await Promise.allSettled(sent)
  t.match([first, second], [{ value: { text: '1' } }, { value: { text: '2' } }])
  t.match(third, { reason: { code: 'QUEUE_FULL', mayHaveExecuted: false } })
  t.same(world.handled, ['1', '2'])
})

t.test('what was on its way when the connection broke is rejected, and sent again where that is safe', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  const once = client.send('hold', { text: 'once' })
  const repeated = client.send('echo', { text: 'repeated' }, { repeat: true })
  await until(() => world.handled.length === 1)
  world.lastSocket.terminate()
  await t.rejects(once, {
    code: 'DISCONNECTED',
    mayHaveExecuted: true,
    cause: { closeCode: 1006, message: "The connection was closed with 1006 ''." }
  })
  t.equal(client.status, 'waiting')
  const queued = client.send('echo', { text: 'queued' })
  world.clock.advance(500)
  t.same(await Promise.all([repeated, queued]), [{ text: 'repeated' }, { text: 'queued' }])
  t.same(world.handled, ['once', 'repeated', 'queued'])
  await world.release()
})

t.test('a message that was given up takes no place any more, and is not sent when there is a connection', async (t) => {
  const world = await ClientWorld.start(t)
  const client = world.client({ queueLimit: 1 })
  const late = client.send('echo', { text: 'late' }, { timeout: 1 })
  world.clock.advance(1)
  await t.rejects(late, { code: 'TIMEOUT', mayHaveExecuted: false })
  t.same(await client.send('echo', { text: 'next' }), { text: 'next' })
  t.same(world.handled, ['next'])
})

t.test('a message that is repeated waits for a connection again, and only as long as somebody waits for it', async (t) => {
  const world = await ClientWorld.start(t, {}, { inFlight: 2 })
  const client = await world.openClient()
  const given = client.send('hold', { text: 'given up' }, { repeat: true, timeout: 1 })
  const late = client.send('hold', { text: 'late' }, { repeat: true, timeout: 400 })
  await until(() => world.handled.length === 2)
  world.clock.advance(1)
  await t.rejects(given, { code: 'TIMEOUT', message: 'No answer within 1 ms.' })
  world.lastSocket.terminate()
  await becomes(client, 'waiting')
  world.clock.advance(399)
  await t.rejects(late, { message: "No connection within 400 ms. The connection was closed with 1006 ''.", mayHaveExecuted: true })
  world.clock.advance(101)
  t.same(await client.send('echo', { text: 'next' }), { text: 'next' })
  t.same(world.handled, ['given up', 'late', 'next'])
  await world.release()
})

t.test('a refusal without an id is counted once', async (t) => {
  const world = await ClientWorld.start(t, {}, { inFlight: 3 })
  const client = await world.openClient()
  const refused = client.send('hold', { text: '1' })
  world.lastSocket.emit('message', Buffer.from('{"type":"$error","payload":{"code":"UNREAD"}}'), false)
  await t.rejects(refused, { code: 'UNREAD' })
  const held = client.send('hold', { text: '2' })
  t.same(await client.send('echo', { text: '3' }), { text: '3' })
  await until(() => world.handled.length === 3)
  await world.release()
  t.same(await held, { text: '2' })
})

t.test('a message over the limit of the connection, which the server refuses unread, is told of it', async (t) => {
  const world = await ClientWorld.start(t, {}, { rateLimit: { max: 1, timeWindow: '1 hour', burst: 2 }, inFlight: 2 })
  const client = await world.openClient()
  const answers = ['1', '2', '3', '4'].map((text) => client.send('echo', { text }))
  const settled = await Promise.allSettled(answers)
  t.match(
    settled.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'rejected']
  )
  t.match(settled[2], { reason: { code: 'FST_WS_TICKET_RATE_LIMITED', statusCode: 429, mayHaveExecuted: false } })
})

t.test('an unread message that nobody waits for any more is counted all the same', async (t) => {
  const world = await ClientWorld.start(t, {}, { rateLimit: { max: 1, timeWindow: '1 hour', burst: 1 } })
  const client = await world.openClient()
  const held = client.send('hold', { text: '1' })
  const given = client.send('echo', { text: '2' }, { timeout: 1 })
  const refused = client.send('echo', { text: '3' })
  world.clock.advance(1)
  await t.rejects(given, { code: 'TIMEOUT' })
  await world.release()
  t.same(await held, { text: '1' })
  await t.rejects(refused, { code: 'FST_WS_TICKET_RATE_LIMITED' })
  t.equal(client.status, 'open')
})

t.test('what waits is kept while attempts fail', async (t) => {
  const world = await ClientWorld.start(t)
  const client = world.client({
    token: () => (world.statuses.length > 0 ? world.app.jwt.sign({ sub: 'ann' }) : Promise.reject(new Error('offline')))
  })
  const kept = client.send('echo', { text: '1' })
  await becomes(client, 'waiting')
  world.clock.advance(500)
  t.same(await kept, { text: '1' })
})
