import { setTimeout as delay } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { wsTicket } from '../../src/index.js'
import { buildEchoApp, ORIGIN } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { isGood, knock, postTicket, type TicketPost, ticketFor } from '../fixtures/attacker.js'
import { connect, listen } from '../fixtures/client.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { captureLog } from '../fixtures/log.js'
import { openClient } from '../fixtures/redis-clients.js'
import { RedisServer } from '../fixtures/redis-server.js'
import { isRefusal } from '../fixtures/refusals.js'
import { until } from '../fixtures/until.js'

/** Of Redis; a machine that is busy needs most of it. */
const TIMEOUT_MS = 1000
const unavailable = { status: 503, code: 'FST_WS_TICKET_UNAVAILABLE' }
// what is answered is on disk, so that a killed one comes back with its tickets
const server = await RedisServer.start(t, { args: ['--appendonly', 'yes', '--appendfsync', 'always', '--key-load-delay', '0'] })

/** Its client is connected when its own attack begins, not anew in the midst of another, which counts sockets. */
function withRedis(plugin: object = {}) {
  const redis = openClient(t, server.port, 'ioredis', { lazyConnect: true })
  return { plugin: { ...manyRequests, redis, redisTimeout: TIMEOUT_MS, ...plugin } }
}

/** A newcomer is told to come back later, on the ticket route and on the upgrade, and an open connection goes on. */
async function isUnavailable(t: Test, { app, port, honest }: Scene, ticket: string, what: string): Promise<void> {
  const asked = await postTicket(t, app, '/echo')
  t.match(asked, { status: 503, body: { code: unavailable.code } }, `${what}: no ticket is issued`)
  t.match(asked.headers['retry-after'], /^[1-9]/)
  const { text } = await knock(t, port, '/echo', ticket)
  isRefusal(t, text, unavailable, `${what}: nobody is let in`)
  t.match(text, /^retry-after: [1-9]/im)
  await honest.beat()
}

/** Is the ticket good? A machine that is busy may need more than one try, and none that is told to come later uses it up. */
async function isGoodNow(t: Test, { port }: Scene, ticket: string): Promise<boolean> {
  for (;;) {
    const { status, raw } = await knock(t, port, '/echo', ticket)
    raw.socket.destroy()
    if (status !== 503) return status === 101
  }
}

/** Waits until tickets are issued again: by itself, without a restart. */
async function untilBack(t: Test, { app }: Scene): Promise<void> {
  await ticketNow(t, app)
}

/** A ticket, from a Redis that a busy machine may keep from answering in time. */
async function ticketNow(t: Test, app: FastifyInstance, post: TicketPost = {}): Promise<string> {
  for (;;) {
    const { status, body } = await postTicket(t, app, '/echo', post)
    if (status === 201) return String(body.ticket)
    await delay(20)
  }
}

attack('I1 I4 Redis is killed and started again', withRedis(), async (t, scene) => {
  const ticket = await ticketNow(t, scene.app)
  await server.kill()
  await isUnavailable(t, scene, ticket, 'killed')
  await server.startAgain()
  await untilBack(t, scene)
  t.ok(await isGoodNow(t, scene, ticket), 'the redemption that failed is not run late')
  t.notOk(await isGood(t, scene.port, '/echo', ticket), 'and the one that did not is kept')
})

attack('I2 I4 Redis is stopped: 503 by the deadline, and late answers make no session', withRedis(), async (t, scene) => {
  const { app, honest } = scene
  const ticket = await ticketNow(t, app)
  const { connections } = app.wsTicket.stats()
  server.stop()
  await isUnavailable(t, scene, ticket, 'stopped')
  server.continue()
  await untilBack(t, scene)
  await honest.beat()
  t.equal(app.wsTicket.stats().connections, connections)
  t.ok(await isGoodNow(t, scene, ticket), 'what it was asked to do too late it has not done')
})

attack('I2 I4 Redis is slow: 503 by the deadline, and what it does too late uses no ticket up', withRedis(), async (t, scene) => {
  const ticket = await ticketNow(t, scene.app)
  await server.cli('client', 'pause', '6000', 'ALL')
  await isUnavailable(t, scene, ticket, 'slow')
  await untilBack(t, scene)
  t.ok(await isGoodNow(t, scene, ticket))
})

attack(
  'E2 Redis is stopped: pending handshakes are capped',
  withRedis({ maxPendingHandshakes: 20, redisTimeout: 5000 }),
  async (t, scene) => {
    const { app, port, honest } = scene
    const tickets = await Promise.all(Array.from({ length: 60 }, (_, i) => ticketNow(t, app, { claims: { sub: `user ${i}` } })))
    server.stop()
    let answered = 0
    let mostPending = 0
    const knocks = tickets.map(async (ticket) => {
      const answer = await knock(t, port, '/echo', ticket)
      answered++
      return answer
    })
    await until(() => {
      mostPending = Math.max(mostPending, app.wsTicket.stats().pendingHandshakes)
      return answered >= 40
    })
    t.ok(mostPending <= 20, `${mostPending} were pending, the others are refused at once`)
    await honest.beat()
    for (const { text } of await Promise.all(knocks)) isRefusal(t, text, unavailable, 'refused')
    server.continue()
    await untilBack(t, scene)
  }
)

const states = [
  { name: 'READONLY', begin: ['replicaof', '127.0.0.1', '1'], end: ['replicaof', 'no', 'one'] },
  { name: 'OOM', begin: ['config', 'set', 'maxmemory', '1'], end: ['config', 'set', 'maxmemory', '0'] },
  { name: 'NOREPLICAS', begin: ['config', 'set', 'min-replicas-to-write', '1'], end: ['config', 'set', 'min-replicas-to-write', '0'] }
]

for (const { name, begin, end } of states) {
  attack(`I3 I4 ${name}: 503, never a 101, and all heals`, withRedis(), async (t, scene) => {
    const ticket = await ticketNow(t, scene.app)
    await server.cli(...begin)
    await isUnavailable(t, scene, ticket, name)
    await server.cli(...end)
    await untilBack(t, scene)
    t.ok(await isGoodNow(t, scene, ticket), 'the ticket is not burnt')
  })
}

attack('I3 NOSCRIPT: scripts that Redis has forgotten are told again', withRedis({ redisTimeout: 20_000 }), async (t, { app, port }) => {
  await server.cli('script', 'flush')
  const ticket = await ticketFor(t, app, '/echo')
  await server.cli('script', 'flush')
  t.ok(await isGood(t, port, '/echo', ticket))
  t.notOk(await isGood(t, port, '/echo', ticket))
})

attack('I3 LOADING: 503 until it has read its data', withRedis(), async (t, scene) => {
  await server.cli('flushall')
  const ticket = await ticketNow(t, scene.app)
  for (let i = 0; i < 30; i++) await server.cli('set', `filler ${i}`, 'x'.repeat(2000))
  await server.cli('bgrewriteaof')
  await server.until(/aof_rewrite_in_progress:0/, 'info', 'persistence')
  await server.kill()
  // each key takes its time to be loaded, and what comes meanwhile is answered after each
  await server.startAgain(['--key-load-delay', '40000', '--loading-process-events-interval-bytes', '1024'])
  t.match(await server.cli('info', 'persistence'), /^loading:1/m)
  await isUnavailable(t, scene, ticket, 'LOADING')
  await untilBack(t, scene)
  t.ok(await isGoodNow(t, scene, ticket), 'the ticket is not burnt')
})

t.test('I5 a process is started anew between ticket and upgrade', async (t) => {
  const cases = [
    { plugin: { ...manyRequests, redis: openClient(t, server.port) }, isGoodAfterwards: true },
    { plugin: {}, isGoodAfterwards: false }
  ]
  for (const { plugin, isGoodAfterwards } of cases) {
    const before = await buildEchoApp(t, { plugin })
    await listen(before)
    const ticket = await ticketFor(t, before, '/echo')
    await before.close()
    const after = await buildEchoApp(t, { plugin })
    t.equal(await isGood(t, await listen(after), '/echo', ticket), isGoodAfterwards, isGoodAfterwards ? 'with Redis' : 'with memory')
  }
})

t.test('I1 a disconnect that Redis did not keep for the other nodes is told as failed', async (t) => {
  const away = await RedisServer.start(t)
  const app = await buildEchoApp(t, { plugin: { redis: openClient(t, away.port), redisTimeout: TIMEOUT_MS } })
  await listen(app)
  const client = await connect(t, app, '/echo')
  t.match(await client.next(), { type: '$welcome' })
  t.match(await app.wsTicket.disconnect({ connection: 'on another node' }), { disconnected: 0 })
  await away.kill()
  for (const target of [{ connection: 'on another node' }, { user: 'bob' }]) {
    await t.rejects(app.wsTicket.disconnect(target), { code: 'FST_WS_TICKET_UNAVAILABLE', statusCode: 503 }, Object.keys(target).join())
  }
  const [connection] = app.wsTicket.connections()
  t.match(await app.wsTicket.disconnect({ connection: String(connection?.id) }), { disconnected: 1 }, 'what is here needs no Redis')
  t.match(await client.closed, { code: 4403 })
})

t.test('I8 a user of Redis who may not do all that is needed keeps the app from starting', async (t) => {
  const guarded = await RedisServer.start(t)
  const rules = [
    ['~*', '+@all', 'resetchannels'],
    ['~*', '&*', '+@all', '-hset'],
    ['~*', '&*', '+@all', '-xadd'],
    ['~*', '&*', '+@all', '-publish'],
    ['~*', '&*', '+@all', '-evalsha', '-eval'],
    ['~other:*', '&*', '+@all']
  ]
  for (const rule of rules) {
    await guarded.cli('acl', 'setuser', 'weak', 'reset', 'on', '>canary', ...rule)
    const app = Fastify()
    t.teardown(() => app.close())
    const redis = openClient(t, guarded.port, 'ioredis', { username: 'weak', password: 'canary' })
    await app.register(wsTicket, { allowedOrigins: [ORIGIN], authenticate: () => ({ sub: 'ann' }), redis })
    await t.rejects(Promise.resolve(app.ready()), { code: 'FST_WS_TICKET_REDIS_REFUSED', message: /NOPERM/ }, rule.join(' '))
  }
})

t.test('I8 with a wrong password, or none, the app does not start, and the secret is in no line of the log', async (t) => {
  const guarded = await RedisServer.start(t, { password: 'the right one' })
  for (const password of ['a wrong canary', undefined]) {
    const { logger, lines } = captureLog('trace')
    const app = Fastify({ logger })
    t.teardown(() => app.close())
    const redis = openClient(t, guarded.port, 'ioredis', password === undefined ? {} : { password })
    await app.register(wsTicket, { allowedOrigins: [ORIGIN], authenticate: () => ({ sub: 'ann' }), redis })
    await t.rejects(Promise.resolve(app.ready()), { code: 'FST_WS_TICKET_REDIS_REFUSED', message: /WRONGPASS|NOAUTH/ })
    t.ok(lines.some(({ code }) => code === 'WRONGPASS' || code === 'NOAUTH'))
    t.notMatch(JSON.stringify(lines), /canary/)
  }
})
