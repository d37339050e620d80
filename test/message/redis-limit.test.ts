import t, { type Test } from 'tap'
import type { Clock } from '../../src/clock.js'
import type { LimitedConnection, SweptLimit } from '../../src/message/limit.js'
import { redisSharedLimits } from '../../src/message/redis-limit.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { CLIENT_NAMES, openClient, openClusterClient } from '../fixtures/redis-clients.js'
import { startCluster } from '../fixtures/redis-cluster.js'
import { createLog, openLink } from '../fixtures/redis-links.js'
import { RedisServer } from '../fixtures/redis-server.js'

const HOUR_MS = 3_600_000
/** So slow that nothing comes back while a test runs. */
const rate = { max: 5, timeWindowMs: 5 * HOUR_MS, burst: 5 }

interface NodeOptions {
  readonly clock?: Clock
  readonly rate?: typeof rate
  readonly scope?: 'user' | 'ip'
  readonly name?: string
}

/** The same limit on as many nodes, each with a client of another kind. */
async function openLimits(t: Test, server: RedisServer, nodes: number, options: NodeOptions = {}): Promise<SweptLimit[]> {
  const { clock = new ManualClock(), scope = 'user', name = '/chat say' } = options
  const links = await Promise.all(Array.from({ length: nodes }, (_, i) => openLink(t, openClient(t, server.port, CLIENT_NAMES[i % 3]))))
  return links.map((link) => redisSharedLimits(link, { clock, log: createLog().log })(options.rate ?? rate, scope, name))
}

function connectionOf(userId = 'ann', ipKey = '192.0.2.1'): LimitedConnection {
  return { userId, ipKey, buckets: [] }
}

/** How many of that many messages pass at one time. */
function passed(limit: SweptLimit | undefined, connection = connectionOf(), messages = 20, now = new ManualClock().now()): number {
  return Array.from({ length: messages }, () => limit?.take(connection, now)).filter((wait) => wait === 0).length
}

/** All that was let pass is charged, and the answer is there. */
async function settled(limit: SweptLimit | undefined, peer = connectionOf()): Promise<void> {
  await limit?.prepare?.(peer)
}

t.test('H1 a node that prepares for a user knows what others have let pass', async (t) => {
  const server = await RedisServer.start(t)
  const [one, two, three] = await openLimits(t, server, 3)
  t.equal(passed(one, connectionOf(), 3), 3)
  await settled(one)
  await settled(two)
  t.equal(passed(two), 2)
  await settled(two)
  await settled(three)
  t.equal(passed(three), 0)
  const wait = three?.take(connectionOf(), new ManualClock().now()) ?? 0
  t.ok(wait > HOUR_MS - 60_000 && wait <= HOUR_MS, `it waits ${wait} ms`)
  t.equal(passed(three, connectionOf('bob')), 5, 'another user has a bucket of its own')
})

t.test('users, addresses and limits are counted by themselves', async (t) => {
  const server = await RedisServer.start(t)
  const [byUser] = await openLimits(t, server, 1)
  const [byIp] = await openLimits(t, server, 1, { scope: 'ip' })
  const [ofOther] = await openLimits(t, server, 1, { name: '/chat shout' })
  t.equal(passed(byUser), 5)
  await settled(byUser)
  for (const limit of [byIp, ofOther]) {
    await settled(limit)
    t.equal(passed(limit), 5)
  }
  await settled(byIp)
  const [elsewhere] = await openLimits(t, server, 1, { scope: 'ip' })
  for (const [ipKey, expected] of [
    ['192.0.2.1', 0],
    ['192.0.2.2', 5]
  ] as const) {
    await settled(elsewhere, connectionOf('bob', ipKey))
    t.equal(passed(elsewhere, connectionOf('bob', ipKey)), expected, ipKey)
  }
})

t.test('in one instant the nodes let pass a burst each and no more, and wait until all of it is paid back', async (t) => {
  const server = await RedisServer.start(t)
  const limits = await openLimits(t, server, 3)
  t.same(
    limits.map((limit) => passed(limit)),
    [5, 5, 5]
  )
  for (const limit of limits) await settled(limit)
  for (const limit of limits) {
    await settled(limit)
    const wait = limit.take(connectionOf(), new ManualClock().now())
    t.ok(wait > 11 * HOUR_MS - 60_000 && wait <= 11 * HOUR_MS, `15 are taken, 4 may be missing: it waits ${wait} ms`)
  }
})

t.test('a node that has not heard of the others lets pass one message more, and hears with it', async (t) => {
  const server = await RedisServer.start(t)
  const clock = new ManualClock()
  const [one, two, three] = await openLimits(t, server, 3, { clock })
  for (const limit of [one, two, three]) {
    t.equal(passed(limit), 5)
    await settled(limit)
  }
  clock.advance(HOUR_MS)
  t.equal(passed(one, connectionOf(), 20, clock.now()), 1)
  await settled(one)
  clock.advance(11 * HOUR_MS)
  t.equal(passed(one, connectionOf(), 20, clock.now()), 0, '16 are taken')
})

t.test('what is let pass while a charge is under way goes along with the next', async (t) => {
  const server = await RedisServer.start(t)
  const [limit, other] = await openLimits(t, server, 2)
  await settled(limit)
  await server.cli('config', 'resetstat')
  t.equal(passed(limit), 5)
  t.equal(passed(limit), 0, 'what is refused is not charged')
  await settled(limit)
  t.match(await server.cli('info', 'commandstats'), /cmdstat_evalsha:calls=2,/)
  await settled(other)
  t.equal(passed(other), 0)
})

t.test('what is let pass while a charge is under way counts on top of its answer', async (t) => {
  const server = await RedisServer.start(t)
  const [other] = await openLimits(t, server, 1)
  passed(other, connectionOf(), 3)
  await settled(other)
  const link = await openLink(t, openClient(t, server.port))
  const run = link.commands.run.bind(link.commands)
  const asked: (() => void)[] = []
  link.commands.run = async (...args) => {
    await new Promise<void>((resolve) => asked.push(resolve))
    return await run(...args)
  }
  const limit = redisSharedLimits(link, { clock: new ManualClock(), log: createLog().log })(rate, 'user', '/chat say')
  t.equal(passed(limit, connectionOf(), 2), 2)
  asked.shift()?.()
  while (asked.length === 0) await new Promise(setImmediate)
  t.equal(passed(limit), 0, 'four are charged, and one is on its way')
  asked.shift()?.()
  await settled(limit)
})

t.test('all that three nodes let pass in a flood is charged', async (t) => {
  const server = await RedisServer.start(t)
  const start = performance.now()
  const clock = { ...new ManualClock(), now: () => performance.now(), wall: () => 0, every: () => () => {} }
  const intervalMs = 20
  const limits = await openLimits(t, server, 3, { clock, rate: { max: 50, timeWindowMs: 1000, burst: 5 } })
  let count = 0
  while (performance.now() - start < 1500) {
    for (const limit of limits) count += passed(limit, connectionOf(), 3, clock.now())
    await new Promise(setImmediate)
  }
  for (const limit of limits) await settled(limit)
  const key = await server.cli('keys', 'test:limit:*')
  const [fullIn] = (await server.cli('hmget', key, 'fullIn', 'at')).split('\n').map(Number)
  const elapsed = performance.now() - start
  t.ok(count * intervalMs <= elapsed + (fullIn ?? 0), `${count} in ${elapsed} ms, and ${fullIn} ms to pay back`)
  t.ok(count >= 15, 'a burst each')
})

t.test('H9 setting the clock of the server back makes nobody wait longer', async (t) => {
  const server = await RedisServer.start(t)
  const [one, two] = await openLimits(t, server, 2)
  t.equal(passed(one, connectionOf(), 3), 3)
  await settled(one)
  const key = await server.cli('keys', 'test:limit:*')
  const at = Number(await server.cli('hget', key, 'at'))
  await server.cli('hset', key, 'at', String(at + 24 * HOUR_MS))
  await settled(two)
  t.equal(passed(two), 2)
})

t.test('a bucket that is full is kept nowhere', async (t) => {
  const server = await RedisServer.start(t)
  const clock = new ManualClock()
  const [limit] = await openLimits(t, server, 1, { clock, rate: { max: 20, timeWindowMs: 1000, burst: 2 } })
  await settled(limit)
  t.equal(await server.cli('dbsize'), '0', 'asking for it makes none')
  t.equal(passed(limit), 2)
  await settled(limit)
  await server.until(/^0$/, 'dbsize')
  limit?.sweep(clock.now())
  t.equal(limit?.size, 1)
  clock.advance(10_000)
  limit?.take(connectionOf('bob'), clock.now())
  limit?.take(connectionOf('eve'), clock.now())
  await settled(limit, connectionOf('bob'))
  await settled(limit, connectionOf('eve'))
  limit?.sweep(clock.now())
  t.equal(limit?.size, 2, 'that of the first is forgotten')
  clock.advance(9_999)
  limit?.sweep(clock.now())
  t.equal(limit?.size, 2, 'it sweeps every ten seconds')
  void settled(limit, connectionOf('eve'))
  clock.advance(1)
  limit?.sweep(clock.now())
  t.equal(limit?.size, 1, 'the one that Redis is asked about is not')
  await settled(limit, connectionOf('eve'))
})

t.test('a Redis that has lost everything gives a node nothing back', async (t) => {
  const server = await RedisServer.start(t)
  const [limit] = await openLimits(t, server, 1)
  t.equal(passed(limit), 5)
  await settled(limit)
  await server.cli('flushall')
  await settled(limit)
  t.equal(passed(limit), 0)
})

t.test('I1 while Redis is away each node counts for itself, and says so once a minute', async (t) => {
  const server = await RedisServer.start(t)
  const clock = new ManualClock()
  const { log, lines } = createLog()
  const link = await openLink(t, openClient(t, server.port))
  const limit = redisSharedLimits(link, { clock, log })(rate, 'user', 'x')
  await server.kill()
  t.equal(passed(limit, connectionOf('ann')), 5)
  t.equal(passed(limit, connectionOf('bob')), 5)
  await settled(limit, connectionOf('ann'))
  await settled(limit, connectionOf('bob'))
  t.match(lines, [{ level: 40, code: /^[A-Z]+$/, msg: /by itself while Redis fails/ }])
  t.equal(lines.length, 1)
  clock.advance(60_000)
  await settled(limit)
  t.equal(lines.length, 2)
  t.notMatch(JSON.stringify(lines), /ann|bob/)
  await server.startAgain()
  const other = redisSharedLimits(await openLink(t, openClient(t, server.port)), { clock, log })(rate, 'user', 'x')
  await settled(other)
  t.equal(passed(other, connectionOf(), 20, clock.now()), 5, 'what was let pass meanwhile is not charged')
  while (!link.commands.isReady) await new Promise(setImmediate)
  await settled(limit)
  t.equal(passed(limit, connectionOf(), 20, clock.now()), 0, 'and not given back')
})

t.test('I2 no message waits for a Redis that is stopped', async (t) => {
  const server = await RedisServer.start(t)
  const [limit] = await openLimits(t, server, 1)
  server.stop()
  t.equal(passed(limit), 5)
  server.continue()
  await settled(limit)
  const [other] = await openLimits(t, server, 1)
  await settled(other)
  t.equal(passed(other), 0)
})

t.test('it works on a Cluster', async (t) => {
  const [server] = await startCluster(t)
  const clock = new ManualClock()
  const open = async () => {
    const link = await openLink(t, openClusterClient(t, server?.port ?? 0))
    return redisSharedLimits(link, { clock, log: createLog().log })(rate, 'user', 'x')
  }
  const [one, two] = [await open(), await open()]
  const users = ['ann', 'bob', 'eve', 'joe'].map((name) => connectionOf(name))
  for (const user of users) t.equal(passed(one, user), 5)
  for (const user of users) await settled(one, user)
  for (const user of users) await settled(two, user)
  for (const user of users) t.equal(passed(two, user), 0)
})
