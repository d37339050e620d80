import { Writable } from 'node:stream'
import Fastify from 'fastify'
import { Cluster, Redis } from 'ioredis'
import t from 'tap'
import { systemClock } from '../../src/clock.js'
import { RedisLink } from '../../src/redis/link.js'
import { script } from '../../src/redis/script.js'
import { startCluster } from '../fixtures/redis-cluster.js'
import { RedisServer } from '../fixtures/redis-server.js'

t.test('experiment', async (t) => {
  const servers = await startCluster(t)
  const client = new Cluster([{ host: '127.0.0.1', port: servers[0]?.port ?? 0 }])
  const lines: string[] = []
  const app = Fastify({
    logger: {
      stream: new Writable({
        write(c, _e, cb) {
          lines.push(String(c))
          cb()
        }
      })
    }
  })
  const link = new RedisLink({ client, prefix: 'x', timeoutMs: 500, clock: systemClock, log: app.log })
  await link.start()
  for (const k of ['a', 'b', 'c', 'd'])
    t.equal(await link.commands.run(script('return redis.call("SET", KEYS[1], ARGV[1])'), k, ['v']), 'OK')
  t.ok('shardedSubscribers' in link.subscriber)
  link.close()
  client.disconnect()
  const server = await RedisServer.start(t, { password: 'sesam-secret' })
  for (const password of ['wrong-secret', undefined]) {
    const c2 = new Redis({ host: '127.0.0.1', port: server.port, ...(password && { password }) })
    c2.on('error', () => {})
    const link2 = new RedisLink({ client: c2, prefix: 'x', timeoutMs: 500, clock: systemClock, log: app.log })
    await t.rejects(link2.start(), { code: 'FST_WS_TICKET_REDIS_REFUSED' })
    c2.disconnect()
  }
  t.comment(lines.join(''))
})
