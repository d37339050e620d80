import t, { type Test } from 'tap'
import { type Clock, systemClock } from '../../src/clock.js'
import type { RedisClient } from '../../src/redis/client.js'
import { RedisLink } from '../../src/redis/link.js'
import { script } from '../../src/redis/script.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { needs } from '../fixtures/parts.js'
import { freePort } from '../fixtures/ports.js'
import { CLIENT_NAMES, createClient, openClient, openClusterClient } from '../fixtures/redis-clients.js'
import { startCluster } from '../fixtures/redis-cluster.js'
import { createLog } from '../fixtures/redis-links.js'
import { RedisServer } from '../fixtures/redis-server.js'
import { until } from '../fixtures/until.js'

const PASSWORD = 'sesam-of-the-tests'
const SET = script("return redis.call('SET', KEYS[1], ARGV[1])")
const ERROR_LEVEL = 50

/** A link that is not started; closed with the test. */
function createLink(t: Test, client: RedisClient, clock: Clock = systemClock) {
  const { log, lines } = createLog('info')
  const link = new RedisLink({ client, prefix: 'test', timeoutMs: 10_000, clock, log })
  t.teardown(() => link.close())
  let times = 0
  link.onReady(() => times++)
  return {
    link,
    lines,
    /** How often Redis was there. */
    get times() {
      return times
    },
    /** The next time that it is. */
    ready: () => new Promise<void>((resolve) => link.onReady(resolve))
  }
}

if (needs(t, 'redis-server')) {
  t.test('a link is two connections of its own, under the prefix of the client and its own', async (t) => {
    const { port } = await RedisServer.start(t)
    const client = openClient(t, port, 'ioredis', { keyPrefix: 'app:' })
    const made = createLink(t, client)
    const { link, lines } = made
    await link.start()
    t.equal(made.times, 1)
    t.equal(link.keys.of('a', 'b'), 'app:test:a:b')
    t.equal(await link.commands.run(SET, link.keys.of('a'), ['value']), 'OK')
    t.equal(await link.connection.call('GET', ['app:test:a']), 'value')
    t.same(lines, [], 'and nothing is said of it')
    const another = createLink(t, client).link
    t.match(link.node, /^[\da-f-]{36}$/)
    t.not(another.node, link.node, 'each tells itself from the others')
    link.close()
    await t.rejects(link.commands.call('PING', []), { name: 'RedisFailure' })
  })

  t.test('I8 a server that does not let the client in refuses the start, and no secret is logged', async (t) => {
    const { port } = await RedisServer.start(t, { password: PASSWORD })
    for (const name of CLIENT_NAMES) {
      for (const [password, reason] of [
        ['wrong-password', 'WRONGPASS'],
        [undefined, 'NOAUTH']
      ]) {
        const { link, lines } = createLink(t, openClient(t, port, name, password === undefined ? {} : { password }))
        await t.rejects(link.start(), { code: 'FST_WS_TICKET_REDIS_REFUSED', message: new RegExp(`(${reason})`) }, `${name}: ${reason}`)
        t.notMatch(JSON.stringify(lines), /wrong-password/)
        t.equal(link.commands.isReady, false, 'it is closed')
      }
    }
  })

  t.test('I8 so does a Cluster', async (t) => {
    const servers = await startCluster(t)
    for (const server of servers) await server.cli('config', 'set', 'requirepass', PASSWORD)
    for (const name of CLIENT_NAMES) {
      const right = createLink(t, openClusterClient(t, servers[0]?.port ?? 0, name, { password: PASSWORD }))
      await right.link.start()
      const { link, lines } = createLink(t, openClusterClient(t, servers[0]?.port ?? 0, name, { password: 'wrong-password' }))
      await t.rejects(link.start(), { code: 'FST_WS_TICKET_REDIS_REFUSED' }, name)
      t.notMatch(JSON.stringify(lines), /wrong-password/)
    }
  })

  t.test('I8 a user who may run no scripts is refused as well', async (t) => {
    const server = await RedisServer.start(t)
    await server.cli('acl', 'setuser', 'default', '-@scripting')
    const { link } = createLink(t, openClient(t, server.port))
    await t.rejects(link.start(), { code: 'FST_WS_TICKET_REDIS_REFUSED', message: /NOPERM/ })
  })

  t.test('I1 I4 where there is no Redis the app starts after a while, and all is well once there is', async (t) => {
    const clock = new ManualClock()
    const server = await RedisServer.start(t)
    await server.kill()
    const made = createLink(t, openClient(t, server.port), clock)
    const { link, lines } = made
    const started = link.start()
    t.equal(clock.timers, 1)
    clock.advance(5000)
    await started
    t.equal(clock.timers, 0)
    t.equal(made.times, 0)
    await t.rejects(link.commands.call('PING', []), { code: 'UNREACHABLE' })
    // it may not have got as far as to be refused, and would find the server there
    await until(() => lines.length > 0)
    const ready = made.ready()
    await server.startAgain()
    await ready
    t.equal(await link.commands.call('PING', []), 'PONG')
    t.equal(made.times, 1)
    await until(() => lines.length > 1)
    t.match(lines, [
      { level: ERROR_LEVEL, code: 'UNREACHABLE', msg: 'Redis can not be reached; newcomers are refused until it is there' },
      { msg: 'Redis is there again' }
    ])
  })

  t.test('I4 a start that waits for Redis goes on as soon as it is there', async (t) => {
    const server = await RedisServer.start(t)
    await server.kill()
    const clock = new ManualClock()
    const { link } = createLink(t, openClient(t, server.port), clock)
    const started = link.start()
    await server.startAgain()
    await started
    t.equal(await link.commands.call('PING', []), 'PONG')
    t.equal(clock.timers, 0)
  })

  t.test('each time that Redis goes away is logged once, and that it is there again', async (t) => {
    const server = await RedisServer.start(t)
    const made = createLink(t, openClient(t, server.port))
    await made.link.start()
    for (let outage = 1; outage <= 3; outage++) {
      await server.kill()
      await until(() => made.lines.length >= outage * 2 - 1)
      await server.startAgain()
      // of two connections one may not even have noticed yet that Redis was away
      await until(() => made.lines.length >= outage * 2 && made.times > outage)
    }
    t.equal(made.times, 4)
    t.equal(made.lines.length, 6)
    t.same(
      made.lines.map(({ msg }) => msg?.slice(0, 17)),
      Array.from({ length: 3 }, () => ['Redis can not be ', 'Redis is there ag']).flat()
    )
  })

  t.test('an app that closes while it starts does not wait for Redis', async (t) => {
    const clock = new ManualClock()
    const { link } = createLink(t, openClient(t, await freePort()), clock)
    const started = link.start()
    link.close()
    await started
    t.equal(clock.timers, 0)
  })

  t.test('nothing is left of a link that was closed or refused, nor done to the client', async (t) => {
    const { port } = await RedisServer.start(t, { password: PASSWORD })
    const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap' || name === 'Timeout').length
    const before = sockets()
    const client = createClient(port, 'ioredis', { password: PASSWORD })
    const open = createLink(t, client).link
    await open.start()
    open.close()
    const wrong = createClient(port)
    await t.rejects(createLink(t, wrong).link.start(), { code: 'FST_WS_TICKET_REDIS_REFUSED' })
    t.equal(Reflect.get(client, 'status'), 'ready')
    client.disconnect()
    wrong.disconnect()
    while (sockets() > before) await new Promise((resolve) => setImmediate(resolve))
    t.pass('neither sockets nor timers')
  })
}
