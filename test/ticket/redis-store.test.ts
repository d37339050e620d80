import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.js'
import type { RedisClient } from '../../src/redis/client.js'
import { RedisFailure } from '../../src/redis/failure.js'
import { hashText } from '../../src/redis/keys.js'
import { RedisTicketStore } from '../../src/ticket/redis-store.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { needs } from '../fixtures/parts.js'
import { CLIENT_NAMES, type ClientName, openClient, openClusterClient } from '../fixtures/redis-clients.js'
import { startCluster } from '../fixtures/redis-cluster.js'
import { type LinkOptions, openLink } from '../fixtures/redis-links.js'
import { RedisServer } from '../fixtures/redis-server.js'
import { type CreateStore, recordOf, testTicketStore } from '../fixtures/store-contract.js'

interface StoreOptions extends LinkOptions {
  readonly maxTicketsPerUser?: number
  readonly redisReplicas?: number
}

async function openStore(t: Test, client: RedisClient, options: StoreOptions = {}): Promise<RedisTicketStore> {
  const { maxTicketsPerUser = 10, redisReplicas = 0, clock = systemClock } = options
  return new RedisTicketStore(await openLink(t, client, options), { clock, maxTicketsPerUser, redisReplicas })
}

/** So many times longer live those that have to be good, on a machine that is busy as well. */
const TTL_MS = 300

let prefixes = 0

/** Each store has a prefix of its own, and so an empty Redis. */
function storesOf(client: RedisClient): CreateStore {
  return async (t, { maxTicketsPerUser }) => ({
    store: await openStore(t, client, { prefix: `store-${prefixes++}`, maxTicketsPerUser }),
    keepsHere: false,
    elapse: (ms) => delay(ms)
  })
}

function testContract(t: Test, where: string, open: (t: Test, name: ClientName) => RedisClient) {
  for (const name of CLIENT_NAMES) {
    t.test(`it keeps the contract of ticket stores on ${where} with ${name}`, { buffered: true }, async (t) => {
      await testTicketStore(t, storesOf(open(t, name)), TTL_MS)
    })
  }
}

const ticketKey = (hash: string) => `test:ticket:${hashText(hash)}`
const unusedKey = (userId: string) => `test:unused:${hashText(userId)}`

/** An empty server of its own. */
async function startRedis(t: Test) {
  const server = await RedisServer.start(t)
  return { server, client: openClient(t, server.port) }
}

/** Asks until there is an answer, on a machine that may be too busy to answer in time. */
async function answerOf<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof RedisFailure && error.code === 'TIMEOUT')) throw error
    }
  }
}

if (needs(t, 'redis-server')) {
  const server = await RedisServer.start(t)
  const [first] = await startCluster(t)
  // what Redis has to forget takes its time, on each of them alike
  t.jobs = 6
  testContract(t, 'one server', (t, name) => openClient(t, server.port, name))
  testContract(t, 'a Cluster', (t, name) => openClusterClient(t, first?.port ?? 0, name))

  t.test('all nodes find a ticket, and count the unused ones of a user together', async (t) => {
    const { client } = await startRedis(t)
    const [here, there] = [await openStore(t, client, { maxTicketsPerUser: 2 }), await openStore(t, client, { maxTicketsPerUser: 2 })]
    t.same(await here.issue('one', recordOf('ann'), 60_000), { outcome: 'issued' })
    t.same(await there.issue('two', recordOf('ann'), 60_000), { outcome: 'issued' })
    t.match(await here.issue('three', recordOf('ann'), 60_000), { outcome: 'user-full' })
    t.match(await there.redeem('one', 'elsewhere'), { outcome: 'live' })
    t.match(await here.redeem('one', 'here'), { outcome: 'used', usedBy: 'elsewhere' })
    t.equal(await there.voidUser('ann'), 1)
    t.same(await here.find('two'), { outcome: 'unknown' })
  })

  t.test('a redemption that no replica has got is refused where one has to', async (t) => {
    const server = await RedisServer.start(t, { args: ['--repl-diskless-sync-delay', '0'] })
    const client = openClient(t, server.port)
    const store = await openStore(t, client, { redisReplicas: 1, timeoutMs: 2000 })
    await store.issue('one', recordOf('ann'), 60_000)
    await t.rejects(store.redeem('one', 'connection'), { name: 'RedisFailure', code: 'NOREPLICAS' })
    t.match(await answerOf(() => store.find('one')), { outcome: 'used' }, 'and is burnt')
    const replica = await RedisServer.start(t, { args: ['--replicaof', `127.0.0.1 ${server.port}`] })
    await replica.until(/master_link_status:up/, 'info', 'replication')
    const patient = await openStore(t, client, { redisReplicas: 1, timeoutMs: 20_000 })
    await patient.issue('two', recordOf('ann'), 60_000)
    t.match(await patient.redeem('two', 'connection'), { outcome: 'live' })
  })

  t.test('using a ticket is one command, and used ones go when their user needs the room', async (t) => {
    const { server, client } = await startRedis(t)
    const store = await openStore(t, client, { maxTicketsPerUser: 2 })
    for (const ticket of ['one', 'two']) t.match(await store.issue(ticket, recordOf('ann'), 60_000), { outcome: 'issued' })
    await store.redeem('none', 'the script is known now')
    await server.cli('config', 'resetstat')
    t.match(await store.redeem('one', 'connection'), { outcome: 'live' })
    const calls = (await server.cli('info', 'commandstats')).match(/cmdstat_(evalsha|eval|zrem|call):calls=\d+/g)
    t.same(calls, ['cmdstat_evalsha:calls=1'])
    t.equal(await server.cli('zcard', unusedKey('ann')), '2')
    t.match(await store.issue('three', recordOf('ann'), 60_000), { outcome: 'issued' })
    t.equal(await server.cli('zcard', unusedKey('ann')), '2')
    t.match(await store.issue('four', recordOf('ann'), 60_000), { outcome: 'user-full', retryAfterMs: Number })
  })

  t.test('I2 I4 a command that comes to the server after its deadline does not use the ticket up', async (t) => {
    const { server, client } = await startRedis(t)
    const store = await openStore(t, client, { timeoutMs: 100 })
    const unaware = await openStore(t, client, { timeoutMs: 100 })
    const patient = await openStore(t, client)
    await patient.issue('one', recordOf('ann'), 600_000)
    await answerOf(() => store.find('one'))
    t.same(await patient.redeem('none', 'connection'), { outcome: 'unknown' }, 'the server has the script')
    for (const late of [store, unaware]) {
      server.stop()
      await t.rejects(late.redeem('one', 'late'), { name: 'RedisFailure', code: 'TIMEOUT' })
      server.continue()
      // on the same connection, and so when the server has come to what was late
      t.match(await answerOf(() => late.find('one')), { outcome: 'live' }, 'its ticket is still good')
    }
    t.match(await patient.redeem('one', 'in time'), { outcome: 'live' })
  })

  t.test('a server whose clock is another than was thought is asked once more', async (t) => {
    const { client } = await startRedis(t)
    const clock = new ManualClock()
    const store = await openStore(t, client, { clock, timeoutMs: 500 })
    await store.issue('one', recordOf('ann'), 60_000)
    await store.find('one')
    // as if the clock of the server had been set forward
    clock.advance(-60_000)
    t.match(await store.redeem('one', 'connection'), { outcome: 'live' })
    t.match(await store.redeem('one', 'another'), { outcome: 'used', usedBy: 'connection' })
  })

  t.test('a ticket that can not be used in time is refused and stays good', async (t) => {
    const { client } = await startRedis(t)
    // its deadline has passed when a command is sent, and nobody moves the clock that would tell
    const store = await openStore(t, client, { clock: new ManualClock(), timeoutMs: -1 })
    await store.issue('one', recordOf('ann'), 60_000)
    await t.rejects(store.redeem('one', 'connection'), { name: 'RedisFailure', code: 'LATE' })
    t.match(await store.find('one'), { outcome: 'live' })
  })

  t.test('all that is kept expires, and using a ticket does not make it live longer', async (t) => {
    const { server, client } = await startRedis(t)
    const store = await openStore(t, client)
    const livesFor = async (key: string) => Number(await server.cli('pttl', key))
    await store.issue('one', recordOf('ann'), 200_000.9)
    await store.issue('two', recordOf('ann'), 100_000)
    for (const key of [ticketKey('one'), unusedKey('ann')]) {
      const ms = await livesFor(key)
      t.ok(ms > 100_000 && ms <= 200_000, `${key} lives for ${ms} ms`)
    }
    await store.redeem('two', 'connection')
    const ms = await livesFor(ticketKey('two'))
    t.ok(ms > 0 && ms <= 100_000, `a used ticket lives for ${ms} ms`)
    await store.issue('three', recordOf('bob'), 0.5)
    await server.until(/^0$/, 'exists', ticketKey('three'))
    await store.issue('longer', recordOf('ann'), 500_000)
    t.ok((await livesFor(unusedKey('ann'))) > 200_000, 'as long as the last of them')
  })

  t.test('a ticket that was refused leaves nothing', async (t) => {
    const { server, client } = await startRedis(t)
    const store = await openStore(t, client, { maxTicketsPerUser: 1 })
    await store.issue('one', recordOf('ann'), 60_000)
    t.match(await store.issue('two', recordOf('ann'), 60_000), { outcome: 'user-full' })
    t.same((await server.cli('keys', '*')).split('\n').sort(), [ticketKey('one'), unusedKey('ann')].sort())
  })

  t.test('as many tickets as there are are voided', async (t) => {
    const { server, client } = await startRedis(t)
    const store = await openStore(t, client, { maxTicketsPerUser: 1000 })
    const others = Array.from({ length: 1100 }, (_, i) => store.issue(`of ${i}`, recordOf(`user ${i}`), 60_000))
    const anns = Array.from({ length: 250 }, (_, i) => store.issue(`${i} of ann`, recordOf('ann'), 60_000))
    await Promise.all([...others, ...anns])
    t.equal(await store.voidUser('ann'), 250)
    t.equal(await store.voidUser(null), 1100)
    t.equal(await server.cli('dbsize'), '0')
  })

  t.test('whoever voids again after a failure finds what was left', async (t) => {
    const { server, client } = await startRedis(t)
    const store = await openStore(t, client)
    for (const ticket of ['one', 'two', 'three']) await store.issue(ticket, recordOf('ann'), 60_000)
    await server.cli('rename', ticketKey('two'), 'aside')
    await server.cli('set', ticketKey('two'), 'something else')
    await t.rejects(store.voidUser('ann'), { code: 'WRONGTYPE' })
    await t.rejects(store.voidUser(null), { code: 'WRONGTYPE' })
    await server.cli('rename', 'aside', ticketKey('two'))
    await store.voidUser('ann')
    for (const ticket of ['one', 'two', 'three']) t.same(await store.find(ticket), { outcome: 'unknown' })
  })

  t.test('B4 apps with other prefixes have other tickets, whatever their prefixes are', async (t) => {
    const { server } = await startRedis(t)
    const prefixes = ['app', 'app:unused', 'app:ticket', 'ap', 'app2']
    const stores = await Promise.all(prefixes.map((prefix) => openStore(t, openClient(t, server.port), { prefix })))
    const odd = ['[a]*', '*:', 'a?p:', '\\']
    for (const keyPrefix of odd) stores.push(await openStore(t, openClient(t, server.port, 'ioredis', { keyPrefix }), { prefix: 'app' }))
    for (const store of stores) await store.issue('one', recordOf('ann'), 60_000)
    for (const [index, store] of stores.entries()) {
      t.equal(await store.voidUser(null), 1, `of ${[...prefixes, ...odd][index]}`)
      t.same(await store.find('one'), { outcome: 'unknown' })
      for (const other of stores.slice(index + 1)) t.match(await other.find('one'), { outcome: 'live' })
    }
  })

  t.test('B5 a value that is corrupted is told without its content', async (t) => {
    const { server, client } = await startRedis(t)
    const store = await openStore(t, client)
    const issue = async (ticket: string) => void (await store.issue(ticket, recordOf('ann'), 60_000))
    await issue('text')
    await server.cli('set', ticketKey('text'), 'secret')
    await t.rejects(store.find('text'), { code: 'WRONGTYPE' })
    await t.rejects(store.redeem('text', 'connection'), { code: 'WRONGTYPE' })
    await t.rejects(issue('text'), { code: 'WRONGTYPE' })

    await issue('no JSON')
    await server.cli('hset', ticketKey('no JSON'), 'record', 'secret')
    for (const failing of [() => store.find('no JSON'), () => store.redeem('no JSON', 'connection')]) {
      const error = await failing().then(String, (error: Error) => error)
      t.match(error, { message: 'a ticket in Redis is not JSON' })
      t.notMatch(`${Object(error).stack}${Object(error).cause}`, 'secret')
    }
    for (const record of ['null', '7', '"text"', '[]', '{}']) {
      await issue(record)
      await server.cli('hset', ticketKey(record), 'record', record)
      t.match(await store.find(record), { outcome: 'live', record: {} }, `${record} is no record`)
      t.match(await store.redeem(record, 'connection'), { outcome: 'live', record: {} })
    }
    await server.cli('hdel', ticketKey('{}'), 'record')
    t.same(await store.find('{}'), { outcome: 'unknown' }, 'a mark alone is no ticket')
    t.same(await store.redeem('{}', 'connection'), { outcome: 'unknown' })
  })

  t.test('B5 where the unused tickets of a user are corrupted the user gets no more, and uses those there are', async (t) => {
    const { server, client } = await startRedis(t)
    const store = await openStore(t, client)
    await store.issue('one', recordOf('ann'), 60_000)
    await server.cli('set', unusedKey('ann'), 'something else')
    await t.rejects(store.issue('two', recordOf('ann'), 60_000), { code: 'WRONGTYPE' })
    await t.rejects(store.voidUser('ann'), { code: 'WRONGTYPE' })
    t.match(await store.redeem('one', 'connection'), { outcome: 'live' }, 'that it can not be forgotten keeps nobody out')
  })

  t.test('I1 where there is no Redis all is refused', async (t) => {
    const { server, client } = await startRedis(t)
    const store = await openStore(t, client)
    await store.issue('one', recordOf('ann'), 60_000)
    await server.kill()
    const refused = { name: 'RedisFailure', code: 'UNREACHABLE' }
    await t.rejects(store.issue('two', recordOf('ann'), 1000), refused)
    await t.rejects(store.find('one'), refused)
    await t.rejects(store.redeem('one', 'connection'), refused)
    for (const user of ['ann', null]) await t.rejects(store.voidUser(user), refused)
    t.equal(store.size(), 0)
    await store.close()
  })
}
