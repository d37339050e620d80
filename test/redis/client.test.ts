import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import {
  databaseOf,
  isClusterConnection,
  isRedisClient,
  keyPrefixOf,
  openCommands,
  openSubscriber,
  type RedisClient,
  type RedisConnection
} from '../../src/redis/client.js'
import { needs } from '../fixtures/parts.js'
import { CLIENT_NAMES, openClient, openClusterClient } from '../fixtures/redis-clients.js'
import { startCluster } from '../fixtures/redis-cluster.js'
import { RedisServer } from '../fixtures/redis-server.js'

const PASSWORD = 'sesam-of-the-tests'

/** A connection of our own; disconnected with the test. */
async function connected(t: Test, connection: RedisConnection): Promise<RedisConnection> {
  connection.on('error', () => {})
  t.teardown(() => connection.disconnect())
  await connection.connect()
  return connection
}

/** A port on which nobody listens: these clients never get to connect. */
const NOWHERE = 1

t.test('clients of all three packages are taken, and nothing else', async (t) => {
  for (const name of CLIENT_NAMES) {
    t.ok(isRedisClient(openClient(t, NOWHERE, name)), name)
    t.ok(isRedisClient(openClusterClient(t, NOWHERE, name)), `a Cluster of ${name}`)
  }
  const whole = { isCluster: false, options: {}, duplicate() {}, call() {} }
  t.ok(isRedisClient(whole))
  for (const name of Object.keys(whole)) t.notOk(isRedisClient({ ...whole, [name]: undefined }), `without ${name}`)
  t.notOk(isRedisClient({ ...whole, options: null }))
  for (const other of [undefined, null, 'redis://localhost', 6379, {}, [], Redis, () => {}]) t.notOk(isRedisClient(other))
})

t.test('a client that makes no connections is told', async (t) => {
  for (const made of [undefined, null, 'connected', {}, { call() {}, connect() {}, on() {} }]) {
    const client: RedisClient = { isCluster: false, options: {}, duplicate: () => Object(made) }
    t.throws(() => openCommands(client), { message: 'the Redis client makes no connection of its kind' })
    t.throws(() => openSubscriber({ ...client, isCluster: true }), TypeError)
  }
})

t.test('the prefix of a client is known', async (t) => {
  for (const name of CLIENT_NAMES) {
    t.equal(keyPrefixOf(openClient(t, NOWHERE, name)), '')
    t.equal(keyPrefixOf(openClient(t, NOWHERE, name, { keyPrefix: 'app:' })), 'app:')
    t.equal(keyPrefixOf(openClusterClient(t, NOWHERE, name)), '')
    t.equal(keyPrefixOf(openClusterClient(t, NOWHERE, name, { keyPrefix: 'app:' })), 'app:')
  }
  t.equal(keyPrefixOf({ isCluster: false, options: { keyPrefix: 7 }, duplicate: () => ({}) }), '')
})

t.test('the database of a client is known', async (t) => {
  t.equal(databaseOf(openCommands(openClient(t, NOWHERE))), 0)
  t.equal(databaseOf(openCommands(openClient(t, NOWHERE, 'ioredis', { db: 3 }))), 3)
  t.equal(databaseOf(openCommands(openClusterClient(t, NOWHERE))), 0, 'a Cluster has one only')
})

t.test('a connection that was lost is tried again for ever, and not by all nodes at once', async (t) => {
  for (const open of [openCommands, openSubscriber]) {
    const delayOf: unknown = Reflect.get(Object(Reflect.get(open(openClient(t, NOWHERE)), 'options')), 'retryStrategy')
    const delaysAfter = (times: number) =>
      Array.from({ length: 100 }, () => (typeof delayOf === 'function' ? Number(delayOf(times)) : Number.NaN))
    t.ok(delaysAfter(1).every((ms) => ms >= 50 && ms <= 100))
    for (const times of [10, 100, 10_000]) {
      const delays = delaysAfter(times)
      t.ok(delays.every((ms) => ms >= 50 && ms <= 2000))
      t.ok(new Set(delays).size > 10)
    }
  }
})

if (needs(t, 'redis-server')) {
  t.test('connections have the settings of the client, but no prefix', async (t) => {
    const server = await RedisServer.start(t, { password: PASSWORD })
    for (const name of CLIENT_NAMES) {
      const client = openClient(t, server.port, name, { password: PASSWORD, keyPrefix: `${name}:` })
      for (const connection of [await connected(t, openCommands(client)), await connected(t, openSubscriber(client))]) {
        t.equal(connection.status, 'ready')
        t.equal(isClusterConnection(connection), false)
        t.equal(await connection.call('SET', [`key of ${name}`, 1]), 'OK')
      }
      t.equal(await server.cli('exists', `key of ${name}`), '1')
      t.equal(Reflect.get(client.options, 'enableAutoPipelining'), false, 'and the client stays as it is')
    }
  })

  t.test('a connection to a server that has become a replica is made anew', async (t) => {
    const former = await RedisServer.start(t)
    const connection = await connected(t, openCommands(openClient(t, former.port)))
    await former.cli('replicaof', '127.0.0.1', String(NOWHERE))
    const again = new Promise<void>((resolve) => connection.on('ready', resolve))
    await t.rejects(connection.call('SET', ['key', 1]), /READONLY/)
    await again
    await former.cli('replicaof', 'no', 'one')
    t.equal(await connection.call('SET', ['key', 1]), 'OK')
  })

  t.test('nothing is sent later or twice', async (t) => {
    const gone = await RedisServer.start(t)
    const connection = await connected(t, openCommands(openClient(t, gone.port)))
    gone.stop()
    const unanswered = t.rejects(connection.call('INCR', ['key']))
    await gone.kill()
    await unanswered
    await t.rejects(connection.call('INCR', ['key']), 'there is no server')
    const again = new Promise<void>((resolve) => connection.on('ready', resolve))
    await gone.startAgain()
    await again
    t.equal(await connection.call('INCR', ['key']), 1)
  })

  t.test('so have connections to a Cluster', async (t) => {
    const servers = await startCluster(t)
    for (const each of servers) await each.cli('config', 'set', 'requirepass', PASSWORD)
    const port = servers[0]?.port ?? 0
    for (const name of CLIENT_NAMES) {
      const client = openClusterClient(t, port, name, { password: PASSWORD, keyPrefix: `${name}:` })
      for (const connection of [await connected(t, openCommands(client)), await connected(t, openSubscriber(client))]) {
        t.equal(connection.status, 'ready')
        t.ok(isClusterConnection(connection) && connection.nodes('master').length === servers.length)
        t.equal(await connection.call('SET', [`key of ${name}`, 1]), 'OK')
      }
      const cli = ['--no-auth-warning', '-c', '-a', PASSWORD, 'exists', `key of ${name}`]
      t.equal(await servers[0]?.cli(...cli), '1')

      // keys of several servers, all at once
      const commands = await connected(t, openCommands(client))
      const keys = Array.from({ length: 100 }, (_, i) => `key ${i} of ${name}`)
      const answers = await Promise.all(keys.map((key) => commands.call('EVAL', ["return redis.call('INCR', KEYS[1])", 1, key])))
      t.same(new Set(answers), new Set([1]), name)
    }
  })
}
