import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { buildEchoApp } from '../fixtures/app.js'
import { knock, postTicket } from '../fixtures/attacker.js'
import { listen } from '../fixtures/client.js'
import { openClient } from '../fixtures/redis-clients.js'
import { RedisServer } from '../fixtures/redis-server.js'

/** An app that listens, with a Redis. */
async function startApp(t: Test, redis: Redis | ReturnType<typeof openClient>, plugin: object = {}) {
  const app = await buildEchoApp(t, { plugin: { redis, ...plugin } })
  const port = await listen(app)
  return {
    /** Also where a busy replica seems to be gone for a moment. */
    ticket: async () => {
      for (;;) {
        const { status, body } = await postTicket(t, app, '/echo')
        if (status === 201) return String(body.ticket)
      }
    },
    askTicket: async () => (await postTicket(t, app, '/echo')).status,
    upgrade: async (ticket: string) => (await knock(t, port, '/echo', ticket)).status
  }
}

/** A Redis with a replica that is up to date, and an app at each, as before a failover and after it. */
async function startPair(t: Test, args: readonly string[] = [], plugin: object = {}) {
  const master = await RedisServer.start(t, { args: ['--repl-diskless-sync-delay', '0', ...args] })
  const replica = await RedisServer.start(t, { args: ['--replicaof', `127.0.0.1 ${master.port}`] })
  await master.until(/slave0:.*state=online/, 'info', 'replication')
  const before = await startApp(t, openClient(t, master.port), plugin)
  const ticket = await before.ticket()
  // what was written so far is at the replica as well
  while ((await replica.cli('dbsize')) !== (await master.cli('dbsize')));
  return {
    master,
    replica,
    before,
    ticket,
    /** The replica is cut off and takes over, with what it has; the master knows nothing of that. */
    async failOver() {
      await replica.cli('replicaof', 'no', 'one')
      return await startApp(t, openClient(t, replica.port))
    }
  }
}

t.test('a redemption at a master that was cut off is lost by the failover: the ticket works twice', async (t) => {
  const { before, ticket, failOver } = await startPair(t)
  const after = await failOver()
  t.equal(await before.upgrade(ticket), 101)
  t.equal(await before.upgrade(ticket), 401)
  t.equal(await after.upgrade(ticket), 101, 'this is what the settings below prevent')
  t.equal(await after.upgrade(ticket), 401)
})

t.test('a redemption that the replica has got stays one', async (t) => {
  const { master, replica, before, ticket, failOver } = await startPair(t)
  t.equal(await before.upgrade(ticket), 101)
  const offset = /master_repl_offset:(\d+)/.exec(await master.cli('info', 'replication'))?.[1]
  await replica.until(new RegExp(`slave_repl_offset:${offset}`), 'info', 'replication')
  const after = await failOver()
  t.equal(await after.upgrade(ticket), 401)
})

t.test('I3 with min-replicas-to-write a master that was cut off lets nobody in', async (t) => {
  const { master, before, ticket, failOver } = await startPair(t, ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '2'])
  const after = await failOver()
  await master.until(/min_slaves_good_slaves:0/, 'info', 'replication')
  t.equal(await before.upgrade(ticket), 503, 'NOREPLICAS')
  t.equal(await before.askTicket(), 503)
  t.equal(await after.upgrade(ticket), 101)
  t.equal(await after.upgrade(ticket), 401)
})

t.test('with redisReplicas nobody is let in by a redemption that no replica has got', async (t) => {
  const { before, ticket, failOver } = await startPair(t, [], { redisReplicas: 1, redisTimeout: 1000 })
  const after = await failOver()
  t.equal(await before.upgrade(ticket), 503, 'though the master takes the write')
  t.equal(await after.upgrade(ticket), 101, 'so it has opened one connection only')
  t.equal(await after.upgrade(ticket), 401)
})

t.test('with redisReplicas and a replica that is there all is as ever', async (t) => {
  const { before, ticket, failOver } = await startPair(t, [], { redisReplicas: 1 })
  t.equal(await before.upgrade(ticket), 101)
  t.equal(await before.upgrade(ticket), 401)
  const after = await failOver()
  t.equal(await after.upgrade(ticket), 401)
})

t.test('what a restart after kill -9 does to single use', async (t) => {
  const cases = [
    { what: 'nothing is kept', args: [], status: 401 },
    { what: 'an AOF that is written before each answer', args: ['--appendonly', 'yes', '--appendfsync', 'always'], status: 401 },
    { what: 'a snapshot from before the redemption', args: ['--dbfilename', 'before.rdb'], status: 101 }
  ]
  for (const { what, args, status } of cases) {
    await t.test(`${what}: ${status}`, async (t) => {
      const server = await RedisServer.start(t, { args })
      const app = await startApp(t, openClient(t, server.port))
      const ticket = await app.ticket()
      if (status === 101) await server.cli('save')
      t.equal(await app.upgrade(ticket), 101)
      await server.kill()
      await server.startAgain()
      while ((await app.askTicket()) === 503);
      t.equal(await app.upgrade(ticket), status)
    })
  }
})

t.test('I4 Sentinel promotes the replica, and the app goes on by itself', async (t) => {
  const master = await RedisServer.start(t, { args: ['--repl-diskless-sync-delay', '0'] })
  const replica = await RedisServer.start(t, { args: ['--replicaof', `127.0.0.1 ${master.port}`] })
  await master.until(/slave0:.*state=online/, 'info', 'replication')
  const sentinel = await RedisServer.start(t, { isSentinel: true })
  await sentinel.cli('sentinel', 'monitor', 'mymaster', '127.0.0.1', String(master.port), '1')
  for (const [name, ms] of Object.entries({ 'down-after-milliseconds': '500', 'failover-timeout': '3000' })) {
    await sentinel.cli('sentinel', 'set', 'mymaster', name, ms)
  }
  await sentinel.until(/slaves=1/, 'info', 'sentinel')
  const client = new Redis({ name: 'mymaster', sentinels: [{ host: '127.0.0.1', port: sentinel.port }] })
  client.on('error', () => {})
  t.teardown(() => client.disconnect())
  const app = await startApp(t, client)
  const ticket = await app.ticket()
  t.equal(await app.upgrade(ticket), 101)
  while ((await replica.cli('dbsize')) !== (await master.cli('dbsize')));
  await master.kill()
  const statuses = new Set<number>()
  for (let status = 0; status !== 201; status = await app.askTicket()) statuses.add(status)
  t.same(
    [...statuses].filter((status) => status !== 0 && status !== 503),
    [],
    'until then newcomers are told to come later'
  )
  t.equal(await app.upgrade(ticket), 401, 'the used ticket is still used')
  t.equal(await app.upgrade(await app.ticket()), 101)
})
