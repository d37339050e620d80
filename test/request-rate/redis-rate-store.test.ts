import fastifyRateLimit from '@fastify/rate-limit'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { redisRateStore } from '../../src/request-rate/redis-rate-store.js'
import { ipKeyOf, requestRate } from '../../src/request-rate/request-rate.js'
import { captureLog } from '../fixtures/log.js'
import { CLIENT_NAMES, openClient } from '../fixtures/redis-clients.js'
import { openLink } from '../fixtures/redis-links.js'
import { RedisServer } from '../fixtures/redis-server.js'

const WINDOW_MS = 60_000
const three = { max: 3, timeWindowMs: WINDOW_MS, burst: 3 }

/** Nodes with two limits of ours and two limited routes of the app's own. */
async function buildNodes(t: Test, server: RedisServer, count: number, logger?: object): Promise<FastifyInstance[]> {
  return await Promise.all(Array.from({ length: count }, (_, i) => buildNode(t, server, CLIENT_NAMES[i % 3], logger)))
}

async function buildNode(t: Test, server: RedisServer, name: (typeof CLIENT_NAMES)[number] | undefined, logger?: object) {
  const link = await openLink(t, openClient(t, server.port, name))
  const app = Fastify({ ...(logger && { logger }) })
  t.teardown(() => app.close())
  await app.register(fastifyRateLimit, { global: false, store: redisRateStore(link) })
  app.get('/one', { onRequest: requestRate(app, 'one', three, ipKeyOf) }, async () => 'x')
  app.get('/two', { onRequest: requestRate(app, 'two', three, ipKeyOf) }, async () => 'x')
  for (const url of ['/own', '/other']) app.get(url, { config: { rateLimit: { max: 2, timeWindow: 60_000 } } }, async () => 'x')
  return app
}

async function statuses(nodes: readonly FastifyInstance[], url: string, count: number, remoteAddress = '192.0.2.1'): Promise<number[]> {
  const found: number[] = []
  for (let i = 0; i < count; i++) {
    const response = await nodes[i % nodes.length]?.inject({ url, remoteAddress })
    found.push(response?.statusCode ?? 0)
  }
  return found
}

t.test('requests are counted on all nodes together, by address and by limit', async (t) => {
  const server = await RedisServer.start(t)
  const nodes = await buildNodes(t, server, 3)
  t.same(await statuses(nodes, '/one', 4), [200, 200, 200, 429])
  t.same(await statuses(nodes, '/one', 4, '192.0.2.2'), [200, 200, 200, 429])
  t.same(await statuses(nodes, '/two', 4), [200, 200, 200, 429])
  const response = await nodes[1]?.inject({ url: '/one', remoteAddress: '192.0.2.1' })
  t.match(response?.json(), { code: 'FST_WS_TICKET_TOO_MANY_REQUESTS' })
  const retryAfter = Number(response?.headers['retry-after'])
  t.ok(retryAfter > 30 && retryAfter <= 60, `Retry-After ${retryAfter}`)
  t.notMatch(await server.cli('keys', '*'), /192\.0\.2/)
})

t.test("the app's own limited routes are counted by route", async (t) => {
  const server = await RedisServer.start(t)
  const nodes = await buildNodes(t, server, 2)
  t.same(await statuses(nodes, '/own', 3), [200, 200, 429])
  t.same(await statuses(nodes, '/other', 3), [200, 200, 429])
})

t.test('a hundred requests at once are counted one by one', async (t) => {
  const server = await RedisServer.start(t)
  const nodes = await buildNodes(t, server, 3)
  const all = await Promise.all(Array.from({ length: 33 }, () => statuses(nodes, '/one', 3)))
  t.equal(all.flat().filter((status) => status === 200).length, 3)
})

t.test('a window ends by the clock of the server, and never lasts longer than it may', async (t) => {
  const server = await RedisServer.start(t)
  const nodes = await buildNodes(t, server, 1)
  await statuses(nodes, '/one', 4)
  const key = await server.cli('keys', 'test:rate:*')
  await server.cli('pexpire', key, '86400000')
  t.same(await statuses(nodes, '/one', 1), [429])
  t.ok(Number(await server.cli('pttl', key)) <= WINDOW_MS, 'as after the clock was set back')
  await server.cli('persist', key)
  t.same(await statuses(nodes, '/one', 1), [429])
  t.ok(Number(await server.cli('pttl', key)) > 0)
  await server.cli('pexpire', key, '1')
  await server.until(/^0$/, 'exists', key)
  t.same(await statuses(nodes, '/one', 4), [200, 200, 200, 429])
})

t.test('I1 I4 while Redis is away requests are answered 503, and then as before', async (t) => {
  const server = await RedisServer.start(t)
  const { logger, lines } = captureLog('warn')
  const nodes = await buildNodes(t, server, 1, logger)
  await server.kill()
  const response = await nodes[0]?.inject('/one')
  t.match(response?.json(), { code: 'FST_WS_TICKET_UNAVAILABLE', statusCode: 503 })
  t.equal(response?.headers['retry-after'], '1')
  const line = lines.find(({ msg }) => msg === 'the rate limit could not be checked')
  t.match(line, { level: 40, code: 'UNREACHABLE', reason: /./, err: undefined })
  await server.startAgain()
  while ((await nodes[0]?.inject('/two'))?.statusCode !== 200) await new Promise(setImmediate)
  t.same(await statuses(nodes, '/one', 4), [200, 200, 200, 429])
})
