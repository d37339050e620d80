import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import type { UserPlaces } from '../../src/capacity/places.js'
import { RedisPlaces } from '../../src/capacity/redis-places.js'
import type { RedisLink } from '../../src/redis/link.js'
import type { LogLine } from '../fixtures/log.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { Chance } from '../fixtures/random.js'
import { CLIENT_NAMES, openClient, openClusterClient } from '../fixtures/redis-clients.js'
import { startCluster } from '../fixtures/redis-cluster.js'
import { createLog, openLink } from '../fixtures/redis-links.js'
import { RedisServer } from '../fixtures/redis-server.js'

const REWRITE_MS = 600_000

/** A node with its own connections, its own clock, and a cap of three. */
class Node {
  readonly link: RedisLink
  readonly clock = new ManualClock()
  readonly all: RedisPlaces
  readonly places: UserPlaces
  readonly lines: LogLine[]
  readonly #held: (() => void)[] = []

  constructor(link: RedisLink) {
    const { log, lines } = createLog()
    this.link = link
    this.lines = lines
    this.all = new RedisPlaces(link, { clock: this.clock, log })
    this.places = this.all.create(3, 'all')
  }

  /** Takes so many places at once; how many it got. */
  async take(count: number, user = 'ann'): Promise<number> {
    const releases = await Promise.all(Array.from({ length: count }, () => this.places.take(user)))
    const got = releases.filter((release) => release !== undefined)
    this.#held.push(...got)
    return got.length
  }

  release(count = 1): void {
    for (const release of this.#held.splice(0, count)) release()
  }

  get lease(): string {
    return this.all.lease.id
  }

  /** Its clock goes on and it looks after its places. */
  pass(ms: number): void {
    this.clock.advance(ms)
    this.all.tick(this.clock.now())
  }

  /** Has a lease that is not the one that it began with. */
  async hasLease(former = `${this.link.node}.0`): Promise<void> {
    while (this.lease === former) await new Promise(setImmediate)
  }

  /** All that it has sent so far is answered. */
  async answered(): Promise<void> {
    await new Promise(setImmediate)
    await this.link.commands.call('PING', [])
  }
}

async function openNodes(t: Test, server: RedisServer, count: number, timeoutMs = 10_000): Promise<[Node, Node, Node]> {
  const open = async (i: number) => {
    const node = new Node(await openLink(t, openClient(t, server.port, CLIENT_NAMES[i % 3]), { timeoutMs }))
    if (i >= count) return node
    node.pass(0)
    await node.hasLease()
    return node
  }
  return [await open(0), await open(1), await open(2)]
}

type Numbers = Record<string, number>

/** What stands in Redis: the numbers of each user by lease. */
async function numbersIn(server: RedisServer): Promise<Numbers[]> {
  const keys = (await server.cli('keys', 'test:connections:*')).split('\n').filter((key) => key !== '')
  return await Promise.all(keys.map(async (key) => numbersOf(await server.cli('hgetall', key))))
}

function numbersOf(text: string): Numbers {
  const lines = text.split('\n')
  return Object.fromEntries(lines.flatMap((line, i) => (i % 2 === 0 ? [[line, Number(lines[i + 1])]] : [])))
}

/** Waits until Redis has just these numbers. */
async function untilNumbers(server: RedisServer, ...expected: Numbers[]): Promise<void> {
  const sorted = (all: Numbers[]) => all.map((numbers) => JSON.stringify(Object.entries(numbers).sort())).sort()
  while (!isDeepStrictEqual(sorted(await numbersIn(server).catch(() => [])), sorted(expected))) await delay(10)
}

/** As if its lease had run out: what a node leaves behind that was killed. */
async function endLease(server: RedisServer, node: Node): Promise<void> {
  await server.cli('zadd', 'test:nodes', 'xx', '1', node.lease)
}

async function loseNumbers(server: RedisServer): Promise<void> {
  await server.cli('eval', "for _, key in ipairs(redis.call('KEYS', 'test:connections:*')) do redis.call('DEL', key) end", '0')
}

async function calls(server: RedisServer): Promise<number> {
  const [, count] = /cmdstat_evalsha:calls=(\d+)/.exec(await server.cli('info', 'commandstats')) ?? []
  return Number(count ?? 0)
}

t.test('a user has so many places on all nodes together, however many are asked for at once', async (t) => {
  const server = await RedisServer.start(t)
  const nodes = await openNodes(t, server, 3)
  const [one, two] = nodes
  const got = await Promise.all(nodes.flatMap((node) => [node.take(3), node.take(1)]))
  t.equal(
    got.reduce((sum, count) => sum + count, 0),
    3
  )
  for (const node of nodes) t.equal(await node.places.isFull('ann'), true)
  const [holder] = nodes.filter((node) => node.places.keys > 0)
  holder?.release()
  await holder?.answered()
  t.equal(await two.places.isFull('ann'), false)
  t.equal(await two.take(2), 1)
  t.equal(await one.places.isFull('bob'), false)
  t.equal(await one.take(4, 'bob'), 3, 'another user has places of its own')
  t.ok(await two.all.create(3, 'route /chat').take('ann'), 'and another cap too')
  t.equal(two.places.max, 3)
})

t.test('what stands in Redis is what the nodes have given out, and nothing once all is given back', async (t) => {
  const server = await RedisServer.start(t)
  const [one, two] = await openNodes(t, server, 2)
  t.same([await one.take(1), await two.take(2)], [1, 2])
  await untilNumbers(server, { [one.lease]: 1, [two.lease]: 2 })
  const ttl = Number(await server.cli('pttl', await server.cli('keys', 'test:connections:*')))
  t.ok(ttl > 3_500_000 && ttl <= 3_600_000, `it is kept for ${ttl} ms`)
  t.same([one.places.keys, two.places.keys], [1, 1])
  one.release()
  two.release()
  await untilNumbers(server, { [two.lease]: 1 })
  t.same([one.places.keys, two.places.keys], [0, 1])
  two.release()
  await untilNumbers(server)
  t.equal(await server.cli('keys', '*'), 'test:nodes')
  const before = await calls(server)
  two.pass(REWRITE_MS)
  await two.answered()
  t.equal((await calls(server)) - before, 1, 'the lease is renewed, and no number is left to be written')
})

t.test('a place can be given back once', async (t) => {
  const server = await RedisServer.start(t)
  const [one] = await openNodes(t, server, 1)
  const release = await one.places.take('ann')
  await one.take(1)
  release?.()
  release?.()
  await untilNumbers(server, { [one.lease]: 1 })
})

t.test('a user who has all places on one node is refused without Redis, and asking changes nothing', async (t) => {
  const server = await RedisServer.start(t)
  const [one, two] = await openNodes(t, server, 2)
  await one.take(3)
  const before = [await calls(server), await numbersIn(server)]
  t.equal(await one.take(1), 0)
  t.equal(await one.places.isFull('ann'), true)
  t.same([await calls(server), await numbersIn(server)], before)
  t.equal(await two.places.isFull('ann'), true)
  t.equal(await two.places.isFull('bob'), false)
  t.same(await numbersIn(server), before[1])
})

t.test('what is asked for and given back while Redis is asked goes along with the next', async (t) => {
  const server = await RedisServer.start(t)
  const [one] = await openNodes(t, server, 1)
  await one.take(2)
  const before = await calls(server)
  server.stop()
  const takes = [one.take(1), one.take(1)]
  await new Promise(setImmediate)
  one.release(2)
  server.continue()
  t.same(await Promise.all(takes), [1, 0], 'there were two then')
  await untilNumbers(server, { [one.lease]: 1 })
  t.equal((await calls(server)) - before, 2)
})

t.test('I7 the places of a node that is gone can be had when its lease has run out', async (t) => {
  const server = await RedisServer.start(t)
  const [one, two, three] = await openNodes(t, server, 3)
  t.same([await one.take(2), await two.take(1)], [2, 1])
  t.equal(await three.take(3), 0)
  await endLease(server, one)
  t.equal(await three.places.isFull('ann'), false)
  t.equal(Object.keys((await numbersIn(server))[0] ?? {}).length, 2, 'who only looks changes nothing')
  t.equal(await three.take(3), 2, 'all of them, and no more')
  t.same(await numbersIn(server), [{ [two.lease]: 1, [three.lease]: 2 }])
  const ended = one.lease
  one.pass(5000)
  await one.hasLease(ended)
  await untilNumbers(server, { [one.lease]: 2, [two.lease]: 1, [three.lease]: 2 })
  t.match(one.lines, [{ level: 40, msg: /had ended; its connections are counted again/ }], 'it was not gone, and counts again')
  t.notOk((await server.cli('zrange', 'test:nodes', '0', '-1')).includes(ended), 'not under the lease that has ended')
  t.equal(two.lines.length, 0)
  three.release(2)
  await three.answered()
  t.equal(await three.take(1), 0)
})

t.test('I7 half of what is asked for may be there at once, the rest from a node that is gone', async (t) => {
  const server = await RedisServer.start(t)
  const [one, two] = await openNodes(t, server, 2)
  await one.take(2)
  await endLease(server, one)
  t.equal(await two.take(4), 3)
  t.same(await numbersIn(server), [{ [two.lease]: 3 }])
})

t.test('a lease is renewed every five seconds, and lasts fifteen by the clock of the server', async (t) => {
  const server = await RedisServer.start(t)
  const [one, two] = await openNodes(t, server, 2)
  const endOf = async (node: Node) => Number(await server.cli('zscore', 'test:nodes', node.lease))
  const lasts = async (node: Node) => (await endOf(node)) - Date.now()
  t.ok((await lasts(one)) > 10_000 && (await lasts(one)) <= 15_000)
  await server.cli('zincrby', 'test:nodes', '-5000', one.lease)
  const before = await endOf(one)
  one.pass(4999)
  await one.answered()
  t.equal(await endOf(one), before)
  one.pass(1)
  await one.answered()
  t.ok((await endOf(one)) > before)
  await server.cli('zincrby', 'test:nodes', '86400000', two.lease)
  one.pass(5000)
  await one.answered()
  t.ok((await lasts(two)) <= 15_000, 'none lasts longer, as after the clock was set back')
  t.equal(await server.cli('zcard', 'test:nodes'), '2')
  await endLease(server, two)
  one.pass(5000)
  await one.answered()
  t.equal(await server.cli('zcard', 'test:nodes'), '1', 'those that have ended are forgotten')
})

t.test('when Redis has lost everything the numbers come back, for however many users', async (t) => {
  const server = await RedisServer.start(t)
  const [one, two] = await openNodes(t, server, 2)
  const users = Array.from({ length: 600 }, (_, i) => `user ${i}`)
  await Promise.all(users.map((user) => one.take(1, user)))
  t.equal(one.places.keys, 600)
  await two.take(2, 'user 0')
  const former = [one.lease, two.lease]
  await server.kill()
  await server.startAgain()
  await one.hasLease(former[0])
  await two.hasLease(former[1])
  await server.until(/^601$/, 'dbsize')
  while (!(await one.places.isFull('user 0'))) await delay(10)
  t.equal(await one.take(1, 'user 0'), 0)
})

t.test('a node that is connected again writes its numbers, though its lease has not ended', async (t) => {
  const server = await RedisServer.start(t)
  const [one] = await openNodes(t, server, 1)
  await one.take(2)
  const { lease } = one
  await loseNumbers(server)
  await server.cli('client', 'kill', 'type', 'normal')
  await untilNumbers(server, { [lease]: 2 })
  t.equal(one.lease, lease)
})

t.test('a node whose lease is gone writes its numbers, though it was connected all the while', async (t) => {
  const server = await RedisServer.start(t)
  const [one] = await openNodes(t, server, 1)
  await one.take(2)
  const { lease } = one
  await server.cli('flushall')
  one.pass(5000)
  await one.hasLease(lease)
  await untilNumbers(server, { [one.lease]: 2 })
  const former = one.lease
  await endLease(server, one)
  one.pass(5000)
  await one.hasLease(former)
  await untilNumbers(server, { [one.lease]: 2 })
  t.not(one.lease, former, 'what it wrote under the former is gone')
})

t.test('what is on its way when the lease changes is written again too, however many wait', async (t) => {
  const server = await RedisServer.start(t)
  const [one] = await openNodes(t, server, 1)
  await Promise.all(Array.from({ length: 600 }, (_, i) => one.take(1, `user ${i}`)))
  const former = one.lease
  await endLease(server, one)
  server.stop()
  one.pass(5000)
  await new Promise(setImmediate)
  const taking = one.take(1, 'the last')
  await new Promise(setImmediate)
  server.continue()
  t.equal(await taking, 1)
  t.not(one.lease, former)
  const count =
    "local n = 0 for _, key in ipairs(redis.call('KEYS', '*:connections:*')) do n = n + redis.call('HEXISTS', key, ARGV[1]) end return n"
  await server.until(/^601$/, 'eval', count, '0', one.lease)
  t.equal(await server.cli('eval', count, '0', former), '0')
})

t.test('numbers are written again every ten minutes, so many in a round', async (t) => {
  const server = await RedisServer.start(t)
  const [one] = await openNodes(t, server, 1)
  for (let i = 0; i < 60; i++) await one.take(1, `user ${i}`)
  await loseNumbers(server)
  one.pass(0)
  await one.answered()
  t.equal(await server.cli('dbsize'), '1')
  one.clock.advance(REWRITE_MS)
  await one.take(1, 'newcomer')
  one.all.tick(one.clock.now())
  await one.answered()
  t.equal(await server.cli('dbsize'), '52', 'the nodes, the newcomer and fifty')
})

t.test('I7 what nodes have left that are gone is dropped when a number is written again', async (t) => {
  const server = await RedisServer.start(t)
  const [one, two, three] = await openNodes(t, server, 3)
  for (const node of [one, two, three]) await node.take(1)
  await endLease(server, one)
  two.release()
  await two.answered()
  t.same(await numbersIn(server), [{ [one.lease]: 1, [three.lease]: 1 }])
  three.pass(REWRITE_MS)
  await untilNumbers(server, { [three.lease]: 1 })
})

t.test('I2 a stopped Redis: nobody gets a place, and a late write is put right', async (t) => {
  const server = await RedisServer.start(t)
  const [one] = await openNodes(t, server, 1, 500)
  await one.take(1)
  server.stop()
  const unavailable = { code: 'FST_WS_TICKET_UNAVAILABLE', statusCode: 503, retryAfterMs: 1000, cause: { code: 'TIMEOUT' } }
  const asked: Promise<unknown>[] = [one.places.take('ann'), one.places.take('bob'), one.places.isFull('bob')]
  await Promise.all(asked.map((answer) => t.rejects(answer, unavailable)))
  t.equal(one.places.keys, 1)
  server.continue()
  await untilNumbers(server, { [one.lease]: 2 }, { [one.lease]: 1 })
  one.pass(999)
  await one.answered()
  t.equal((await numbersIn(server)).length, 2, 'not at once')
  one.pass(1)
  await untilNumbers(server, { [one.lease]: 1 })
  t.equal(await one.take(3), 2)
})

t.test('I1 I4 places are given back to a Redis that was away', async (t) => {
  const server = await RedisServer.start(t, { args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  const [one, two] = await openNodes(t, server, 2, 1000)
  await one.take(2)
  await two.take(1)
  await server.kill()
  one.release(1)
  await t.rejects(one.places.take('ann'), { code: 'FST_WS_TICKET_UNAVAILABLE' })
  one.pass(5000)
  one.release(1)
  t.equal(one.places.keys, 0)
  one.pass(5000)
  await server.startAgain()
  await untilNumbers(server, { [two.lease]: 1 })
})

t.test('I6 a node that closes gives its places back, and takes no lease any more', async (t) => {
  const server = await RedisServer.start(t)
  const [one, two] = await openNodes(t, server, 2)
  await one.take(3)
  t.equal(await two.take(1), 0)
  await one.all.close()
  t.same(await numbersIn(server), [])
  t.equal(await server.cli('zrange', 'test:nodes', '0', '-1'), two.lease)
  t.equal(one.places.keys, 0)
  t.equal(await two.take(4), 3)
  one.pass(5000)
  one.release(3)
  await one.answered()
  t.same(await numbersIn(server), [{ [two.lease]: 3 }])
  t.equal(await server.cli('zcard', 'test:nodes'), '1')
})

t.test('I6 a node closes though Redis is away', async (t) => {
  const server = await RedisServer.start(t)
  const [one] = await openNodes(t, server, 1)
  await one.take(1)
  await server.kill()
  await one.all.close()
  t.equal(one.places.keys, 1, 'it has told nobody')
})

t.test('after a thousand takes and releases Redis has the numbers of the nodes', async (t) => {
  const server = await RedisServer.start(t)
  const nodes = await openNodes(t, server, 3)
  // nobody renews the leases, and a machine that is busy may need longer than they last
  for (const { lease } of nodes) await server.cli('zincrby', 'test:nodes', '86400000', lease)
  const seed = Math.floor(Math.random() * 2 ** 32)
  const chance = new Chance(seed)
  const users = ['ann', 'bob', 'eve']
  /** What each user holds on each node. */
  const holdings = users.flatMap((user) => nodes.map((node) => ({ user, node, releases: [] as (() => void)[] })))
  const takes: Promise<unknown>[] = []
  const act = () => {
    for (const { user, node, releases } of holdings.slice(chance.whole(0, 8)).slice(0, 1)) {
      if (chance.next() < 0.5) releases.shift()?.()
      else takes.push(node.places.take(user).then((release) => release && releases.push(release)))
    }
  }
  const truth = (user: string): Numbers => {
    const all = holdings.filter((holding) => holding.user === user && holding.releases.length > 0)
    return Object.fromEntries(all.map(({ node, releases }) => [node.lease, releases.length]))
  }
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 100; i++) {
      act()
      if (chance.next() < 0.1) await new Promise(setImmediate)
    }
    await Promise.all(takes.splice(0))
    const numbers = users.map(truth)
    for (const ofUser of numbers) t.ok(Object.values(ofUser).reduce((sum, count) => sum + count, 0) <= 3, `seed ${seed}`)
    await untilNumbers(server, ...numbers.filter((ofUser) => Object.keys(ofUser).length > 0))
  }
  for (const { releases } of holdings) for (const release of releases) release()
  await untilNumbers(server)
  t.equal(await server.cli('keys', '*'), 'test:nodes')
})

t.test('it works on a Cluster', async (t) => {
  const [server] = await startCluster(t)
  const open = async () => {
    const node = new Node(await openLink(t, openClusterClient(t, server?.port ?? 0)))
    node.pass(0)
    await node.hasLease()
    return node
  }
  const [one, two] = [await open(), await open()]
  for (const user of ['ann', 'bob', 'eve', 'joe']) {
    t.same([await one.take(2, user), await two.take(2, user)], [2, 1], user)
    t.equal(await one.places.isFull(user), true)
  }
  await one.all.close()
  t.equal(await two.take(2), 2)
})
