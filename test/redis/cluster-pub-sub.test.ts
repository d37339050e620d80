import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.js'
import type { RedisFailure } from '../../src/redis/failure.js'
import { keySlot } from '../../src/redis/key-slot.js'
import { RedisLink } from '../../src/redis/link.js'
import { openPubSub } from '../../src/redis/open-pub-sub.js'
import type { PubSub } from '../../src/redis/pub-sub.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { needs } from '../fixtures/parts.js'
import { CLIENT_NAMES, type ClientName, openClusterClient } from '../fixtures/redis-clients.js'
import { startCluster } from '../fixtures/redis-cluster.js'
import { createLog, openLink } from '../fixtures/redis-links.js'
import type { RedisServer } from '../fixtures/redis-server.js'
import { until } from '../fixtures/until.js'

/** So many that each of three servers has some. */
const CHANNELS = Array.from({ length: 12 }, (_, i) => `channel ${i}`)
const CHECK_MS = 100

/** A node that subscribes and one that publishes. */
interface Pair {
  readonly subscriber: PubSub
  readonly publisher: PubSub
  readonly received: string[]
  readonly failures: RedisFailure[]
  readonly link: RedisLink
}

async function openPair(t: Test, servers: readonly RedisServer[], name?: ClientName): Promise<Pair> {
  const received: string[] = []
  const failures: RedisFailure[] = []
  const open = async (): Promise<[RedisLink, PubSub]> => {
    const link = await openLink(t, openClusterClient(t, servers[0]?.port ?? 0, name), { timeoutMs: 500 })
    const pubSub = openPubSub(link, systemClock, {
      received: (channel, text) => received.push(`${channel}: ${text}`),
      confirmed() {},
      failed: (failure) => failures.push(failure)
    })
    const stop = systemClock.every(CHECK_MS, () => pubSub.check())
    t.teardown(() => {
      stop()
      pubSub.close()
    })
    return [link, pubSub]
  }
  const [[link, subscriber], [, publisher]] = [await open(), await open()]
  for (const channel of CHANNELS) subscriber.subscribe(channel)
  await until(() => CHANNELS.every((channel) => subscriber.isConfirmed(channel)))
  // it learns how to publish by subscribing to something, as every node does
  publisher.subscribe('control')
  await until(() => publisher.isConfirmed('control'))
  await publisher.start()
  return { subscriber, publisher, received, failures, link }
}

/** Publishes until it arrives on all channels; what is published then has to arrive, each once and in order. */
async function works(t: Test, { publisher, received }: Pair, label: string): Promise<void> {
  const publishToAll = (text: string) => Promise.allSettled(CHANNELS.map((channel) => publisher.publish(channel, text)))
  const hasArrived = (text: string) => CHANNELS.every((channel) => received.includes(`${channel}: ${text}`))
  let tries = 0
  await until(async () => {
    await publishToAll(`${label} try ${tries}`)
    return Array.from({ length: ++tries }, (_, i) => i).some((i) => hasArrived(`${label} try ${i}`))
  })
  for (let n = 0; n < 50; n++) void publishToAll(`${label} ${n}`)
  await until(() => hasArrived(`${label} 49`))
  for (const channel of CHANNELS) {
    const numbers = received.filter((message) => message.startsWith(`${channel}: ${label} `) && !message.includes('try'))
    const due = Array.from({ length: 50 }, (_, n) => `${channel}: ${label} ${n}`)
    t.same(numbers, due)
  }
  t.equal(new Set(received).size, received.length, 'nothing comes twice')
}

/** Which of the servers has the slot of a channel, as one of them says. */
async function ownerOf(servers: readonly RedisServer[], channel: string): Promise<RedisServer> {
  const [asked] = await aliveOf(servers)
  const lines = ((await asked?.cli('cluster', 'nodes')) ?? '')
    .split('\n')
    .filter((line) => line.includes('master') && !line.includes('fail'))
  const owner = lines.find((line) =>
    line
      .split(' ')
      .slice(8)
      .some((range) => includes(range, keySlot(channel)))
  )
  const port = /:(\d+)@/.exec(owner ?? '')?.[1]
  const server = servers.find((each) => String(each.port) === port)
  if (!server) throw new Error('nobody has it')
  return server
}

async function aliveOf(servers: readonly RedisServer[]): Promise<RedisServer[]> {
  const answers = await Promise.all(servers.map((server) => server.cli('ping').catch(String)))
  return servers.filter((_, i) => answers[i] === 'PONG')
}

function includes(range: string, slot: number): boolean {
  const [first = Number.NaN, last = first] = range.split('-').map(Number)
  return first <= slot && slot <= last
}

/** As `redis-cli --cluster reshard` does: who imports a slot has the last word about it. */
async function moveSlot(servers: readonly RedisServer[], channel: string, from: RedisServer, to: RedisServer): Promise<void> {
  const set = (server: RedisServer, ...args: string[]) => server.cli('cluster', 'setslot', String(keySlot(channel)), ...args)
  const id = await to.cli('cluster', 'myid')
  await set(to, 'importing', await from.cli('cluster', 'myid'))
  await set(from, 'migrating', id)
  for (const server of [to, from, ...servers]) await set(server, 'node', id)
}

if (needs(t, 'redis-server')) {
  const servers = await startCluster(t)

  for (const name of CLIENT_NAMES) {
    t.test(`a channel is followed to where its slot moves; with ${name}`, async (t) => {
      const pair = await openPair(t, servers, name)
      await works(t, pair, 'before')
      const from = await ownerOf(servers, 'channel 0')
      const to = servers.find((server) => server !== from) ?? from
      t.equal(await from.cli('pubsub', 'shardchannels', 'channel 0'), 'channel 0')
      await moveSlot(servers, 'channel 0', from, to)
      await works(t, pair, 'after')
      t.equal(await to.cli('pubsub', 'shardchannels', 'channel 0'), 'channel 0')
      t.equal(await from.cli('pubsub', 'shardchannels', 'channel 0'), '')
      await moveSlot(servers, 'channel 0', to, from)
      await works(t, pair, 'and back')
    })
  }

  t.test('connections are made to servers that have a channel, and closed when they have none', async (t) => {
    const { subscriber } = await openPair(t, servers)
    const owner = await ownerOf(servers, 'channel 0')
    await until(async () => (await owner.cli('pubsub', 'shardchannels', 'channel *')) !== '')
    for (const channel of CHANNELS) subscriber.unsubscribe(channel)
    for (const server of servers) await until(async () => (await server.cli('pubsub', 'shardchannels', 'channel *')) === '')
    t.equal(subscriber.isConfirmed('channel 0'), false)
    subscriber.subscribe('channel 0')
    await until(() => subscriber.isConfirmed('channel 0'))
    t.equal(await owner.cli('pubsub', 'shardchannels', 'channel *'), 'channel 0')
    subscriber.close()
    await until(async () => (await owner.cli('pubsub', 'shardchannels', 'channel *')) === '')
    t.equal(subscriber.isConfirmed('channel 0'), false)
  })

  t.test('what a server refuses is told, and asked for again', async (t) => {
    const pair = await openPair(t, servers)
    const owner = await ownerOf(servers, 'channel 0')
    const allow = async () => await owner.cli('acl', 'setuser', 'default', '+ssubscribe')
    t.teardown(allow)
    await owner.cli('acl', 'setuser', 'default', '-ssubscribe')
    await until(() => pair.failures.some(({ code }) => code === 'NOPERM'))
    await allow()
    await works(t, pair, 'allowed again')
  })

  t.test('I1 kill -9 of a master: its replica takes over, nothing comes twice', async (t) => {
    const servers = await startCluster(t, { replicas: 1 })
    const pair = await openPair(t, servers)
    await works(t, pair, 'before')
    const victim = await ownerOf(servers, 'channel 0')
    await victim.kill()
    await works(t, pair, 'after')
    t.not(await ownerOf(servers, 'channel 0'), victim)
    await victim.startAgain()
    await victim.until(/role:slave/, 'info', 'replication')
    await works(t, pair, 'and when it is back, a replica')
  })

  t.test('where there is no SSUBSCRIBE, as before Redis 7, one server has all channels, and another when it is gone', async (t) => {
    const old = ['--rename-command', 'SSUBSCRIBE', 'none', '--cluster-require-full-coverage', 'no']
    const servers = await startCluster(t, { args: old })
    const pair = await openPair(t, servers)
    await works(t, pair, 'before')
    t.same(pair.failures, [])
    const homeOf = async (): Promise<RedisServer[]> => {
      const alive = await aliveOf(servers)
      const channels = await Promise.all(alive.map((server) => server.cli('pubsub', 'channels', 'channel *')))
      return alive.filter((_, i) => channels[i]?.split('\n').length === CHANNELS.length)
    }
    const [home, ...others] = await homeOf()
    if (!home) throw new Error('no server has all channels')
    t.same(others, [])
    // as when the client is connected anew
    Reflect.apply(Reflect.get(pair.link.subscriber, 'emit'), pair.link.subscriber, ['ready'])
    await works(t, pair, 'connected anew')
    t.same(await homeOf(), [home], 'while it is well, nothing moves')
    await home.kill()
    await works(t, pair, 'after')
    const homes = await homeOf()
    t.equal(homes.length, 1)
    t.notOk(homes.includes(home), 'it is another')
  })

  t.test('what is subscribed to before there is a connection is received as soon as there is one', async (t) => {
    const clock = new ManualClock()
    const { log } = createLog()
    const client = openClusterClient(t, servers[0]?.port ?? 0)
    const link = new RedisLink({ prefix: 'test', timeoutMs: 10_000, clock, client, log })
    t.teardown(() => link.close())
    const received: string[] = []
    const pubSub = openPubSub(link, clock, { received: (channel) => received.push(channel), confirmed() {}, failed() {} })
    pubSub.subscribe('channel 0')
    t.equal(pubSub.isConfirmed('channel 0'), false)
    pubSub.check()
    await t.rejects(pubSub.publish('channel 0', 'early'), { code: 'UNREACHABLE' })
    await link.start()
    await until(() => pubSub.isConfirmed('channel 0'))
    await pubSub.start()
    await pubSub.publish('channel 0', 'text')
    await until(() => received.length > 0)
    t.same(received, ['channel 0'])
    pubSub.close()
    t.equal(clock.timers, 0)
  })
}
