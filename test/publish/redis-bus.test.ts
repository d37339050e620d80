import { setImmediate as nextTurn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { hashText } from '../../src/redis/keys.js'
import { nextTexts, publish, ROUTE } from '../fixtures/bus-nodes.js'
import { needs } from '../fixtures/parts.js'
import { openTwo, type RedisNode, TIMEOUT_MS } from '../fixtures/redis-bus-nodes.js'
import { RedisServer } from '../fixtures/redis-server.js'
import { until } from '../fixtures/until.js'

const CHECK_MS = 5000
const CONTROL = 'test:control'

function channelOf(topic: string): string {
  return `test:topic:${hashText(ROUTE, topic)}`
}

async function countSubscribers(server: RedisServer, channel: string): Promise<number> {
  return Number((await server.cli('pubsub', 'numsub', channel)).split('\n')[1])
}

async function countPublished(server: RedisServer): Promise<number> {
  return Number(/^cmdstat_publish:calls=(\d+)/m.exec(await server.cli('info', 'commandstats'))?.[1] ?? 0)
}

/** Has a promise resolved? */
async function hasResolved(promise: Promise<unknown>): Promise<boolean> {
  const late = nextTurn('late')
  return (await Promise.race([promise.then(() => 'in time'), late])) === 'in time'
}

/** Publishes a last word until it arrives; nothing else may have come, and it only once. */
async function comesNext(t: Test, from: RedisNode, to: RedisNode, text: string): Promise<void> {
  let tries = 0
  await until(() => {
    publish(from, 'room', `${text} ${tries++}`)
    return to.own.client.unread > 0
  })
  publish(from, 'room', 'last word')
  const numbers: number[] = []
  for (let next = ''; next !== 'last word'; [next = ''] = await nextTexts(to.own, 1)) {
    if (next !== '') numbers.push(next.startsWith(text) ? Number(next.slice(text.length)) : Number.NaN)
  }
  const [first = Number.NaN] = numbers
  t.same(
    numbers,
    Array.from({ length: tries - first }, (_, i) => first + i),
    'in order, each once'
  )
}

if (needs(t, 'redis-server')) {
  t.test('a node is subscribed to a topic while it has a subscriber, and to the control channel always', async (t) => {
    const server = await RedisServer.start(t)
    const [, one, two] = await openTwo(t, server.port)
    t.equal(await countSubscribers(server, CONTROL), 2)
    t.equal(await countSubscribers(server, channelOf('room')), 0)
    await Promise.all([one.own.subscribe('room'), one.ann.subscribe('room')])
    t.equal(await countSubscribers(server, channelOf('room')), 1)
    await two.own.subscribe('room')
    t.equal(await countSubscribers(server, channelOf('room')), 2)
    one.own.unsubscribe('room')
    t.equal(await countSubscribers(server, channelOf('room')), 2)
    one.ann.unsubscribe('room')
    await until(async () => (await countSubscribers(server, channelOf('room'))) === 1)
    t.equal(await countSubscribers(server, CONTROL), 2)
    t.same((await server.cli('pubsub', 'channels')).split('\n').sort(), [CONTROL, channelOf('room')], 'names show no topic')
  })

  t.test('to subscribe once more to what is subscribed to asks Redis nothing', async (t) => {
    const server = await RedisServer.start(t)
    const [clock, one] = await openTwo(t, server.port)
    await one.own.subscribe('room')
    server.stop()
    t.equal(await hasResolved(one.ann.subscribe('room')), true)
    t.equal(clock.timers, 0)
    server.continue()
  })

  t.test('who subscribes waits until Redis has confirmed it, but not for longer than the deadline', async (t) => {
    const server = await RedisServer.start(t)
    const [clock, one, two] = await openTwo(t, server.port)
    server.stop()
    const first = one.own.subscribe('room')
    const second = one.ann.subscribe('room')
    clock.advance(TIMEOUT_MS - 1)
    t.equal(await hasResolved(first), false)
    clock.advance(1)
    await Promise.all([first, second])
    const left = one.own.subscribe('left')
    one.own.unsubscribe('left')
    await left
    server.continue()
    await until(async () => (await countSubscribers(server, channelOf('room'))) === 1)
    publish(two, 'room', 'all the same')
    t.same(await nextTexts(one.own, 1), ['all the same'])
    await server.kill()
    await until(() => one.link.subscriber.status !== 'ready')
    const third = one.own.subscribe('another')
    clock.advance(TIMEOUT_MS)
    await third
    const fourth = one.own.subscribe('room')
    t.equal(await hasResolved(fourth), false, 'a subscription that is lost is none')
    await server.startAgain()
    await fourth
    publish(two, 'room', 'again')
    await until(() => publish(two, 'another', 'hello') === 0 && one.own.client.unread > 0)
  })

  t.test('I1 Redis killed and started again: this node goes on, and nothing comes late or twice', async (t) => {
    const server = await RedisServer.start(t)
    const [clock, one, two] = await openTwo(t, server.port)
    await two.own.subscribe('room')
    await comesNext(t, one, two, 'before')
    await one.own.subscribe('room')
    await server.kill()
    for (let i = 0; i < 10; i++) t.equal(publish(one, 'room', `away ${i}`), 1, 'its own are reached')
    t.same(
      await nextTexts(one.own, 10),
      Array.from({ length: 10 }, (_, i) => `away ${i}`)
    )
    await until(() => one.lines.some(({ msg }) => msg === 'messages did not reach the other nodes'))
    await server.startAgain()
    await until(async () => (await countSubscribers(server, channelOf('room'))) === 2)
    await comesNext(t, one, two, 'after')
    one.redisBus.tick(clock.now())
    clock.advance(60_000)
    one.redisBus.tick(clock.now())
    const told = one.lines.filter(({ msg }) => msg === 'messages did not reach the other nodes')
    t.match(told[0], { level: 50, lost: 1, code: 'UNREACHABLE' })
    t.ok(told.length === 2 && Number(told[1]?.lost) >= 9, 'one line a minute, with how many')
    t.notMatch(JSON.stringify(one.lines), /away/)
  })

  t.test('I2 Redis stopped: nobody waits for it, and what it carries later comes once and in order', async (t) => {
    const server = await RedisServer.start(t)
    const [clock, one, two] = await openTwo(t, server.port)
    await Promise.all([one.own.subscribe('room'), two.own.subscribe('room')])
    server.stop()
    for (let i = 0; i < 10; i++) t.equal(publish(one, 'room', `stopped ${i}`), 1)
    await nextTexts(one.own, 10)
    clock.advance(TIMEOUT_MS)
    await until(() => one.lines.length > 0)
    t.match(one.lines, [{ level: 50, lost: 1, code: 'TIMEOUT' }])
    server.continue()
    publish(one, 'room', 'last word')
    const texts = await nextTexts(two.own, 11)
    t.same(texts, [...Array.from({ length: 10 }, (_, i) => `stopped ${i}`), 'last word'])
  })

  t.test('subscriptions are looked after every five seconds', async (t) => {
    const server = await RedisServer.start(t)
    const [clock, one, two] = await openTwo(t, server.port)
    await one.own.subscribe('room')
    one.redisBus.tick(clock.now())
    await one.link.subscriber.call('ping', [])
    await one.link.subscriber.call('unsubscribe', [channelOf('room')])
    clock.advance(CHECK_MS - 1)
    one.redisBus.tick(clock.now())
    await one.link.subscriber.call('ping', [])
    t.equal(await countSubscribers(server, channelOf('room')), 0)
    clock.advance(1)
    one.redisBus.tick(clock.now())
    await until(async () => (await countSubscribers(server, channelOf('room'))) === 1)
    publish(two, 'room', 'mended')
    t.same(await nextTexts(one.own, 1), ['mended'])
    t.same(one.lines, [])
  })

  t.test('a user of Redis who may not subscribe, or publish, is told of in the log', async (t) => {
    const server = await RedisServer.start(t)
    const [clock, one, two] = await openTwo(t, server.port)
    await server.cli('acl', 'setuser', 'default', 'resetchannels', '&test:control')
    const subscribed = one.own.subscribe('room')
    publish(two, 'room', 'hush')
    await until(() => one.lines.length > 0 && two.lines.length > 0)
    t.match(one.lines, [{ level: 50, failed: 1, code: 'NOPERM', msg: /subscribing fails/ }])
    t.match(two.lines, [{ level: 50, lost: 1, code: 'NOPERM' }])
    clock.advance(TIMEOUT_MS)
    await subscribed
  })

  t.test('what is for a connection of this node goes no further', async (t) => {
    const server = await RedisServer.start(t)
    const [, one, two] = await openTwo(t, server.port)
    await server.cli('config', 'resetstat')
    const frame = one.events.encode('news', { text: 'you' })
    const sendTo = (id: string) => one.bus.post({ kind: 'send', route: ROUTE, target: { connection: id }, frame })
    t.equal(sendTo(one.own.id), 1)
    t.equal(await countPublished(server), 0)
    t.equal(sendTo(two.own.id), 0)
    t.same(await nextTexts(two.own, 1), ['you'])
    t.equal(await countPublished(server), 1)
    const disconnect = { kind: 'disconnect', route: null, code: 4403, reason: '' } as const
    t.equal(one.bus.disconnect({ ...disconnect, target: { connection: one.own.id } }).disconnected, 1)
    t.equal(one.bus.disconnect({ ...disconnect, target: { connection: two.own.id } }).disconnected, 0)
    t.match(await one.own.client.closed, { code: 4403 })
    t.match(await two.own.client.closed, { code: 4403 })
    t.equal(await countPublished(server), 2)
  })

  t.test('deployments in different databases of one server, or with different prefixes, have nothing in common', async (t) => {
    const server = await RedisServer.start(t)
    const [, one, two] = await openTwo(t, server.port, [{}, { db: 3 }])
    const [, three] = await openTwo(t, server.port, [{ keyPrefix: 'app:' }, { keyPrefix: 'app:', db: 3 }])
    for (const { own } of [one, two, three]) await own.subscribe('room')
    const channels = (await server.cli('pubsub', 'channels', '*control')).split('\n').sort()
    t.same(channels, ['app:test:control', 'app:test:db3:control', 'test:control', 'test:db3:control'])
    const disconnect = { kind: 'disconnect', route: null, code: 4403, reason: '' } as const
    for (const node of [one, two, three]) publish(node, 'room', 'mine')
    one.bus.disconnect({ ...disconnect, target: { user: 'ann' } })
    await one.ann.client.closed
    for (const node of [one, two, three]) {
      t.same(await nextTexts(node.own, 1), ['mine'])
      t.equal(node.own.client.unread, 0)
    }
    t.same(
      [two.hub, three.hub].map((hub) => hub.wasDisconnected('ann', '', 0)),
      [false, false]
    )
  })

  t.test('closed, it leaves nothing behind', async (t) => {
    const server = await RedisServer.start(t)
    const [clock, one, two] = await openTwo(t, server.port)
    await one.own.subscribe('room')
    server.stop()
    const waiting = one.own.subscribe('another')
    t.equal(await hasResolved(waiting), false)
    publish(one, 'room', 'unanswered')
    await one.redisBus.close()
    await waiting
    await one.own.subscribe('late')
    server.continue()
    one.link.close()
    t.equal(clock.timers, 0)
    await until(async () => (await countSubscribers(server, CONTROL)) === 1)
    t.equal(publish(one, 'room', 'here'), 1)
    publish(two, 'room', 'there')
    await two.redisBus.close()
    two.link.close()
    await until(async () => (await server.cli('pubsub', 'channels')) === '')
    t.equal(clock.timers, 0)
  })
}
