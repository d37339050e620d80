import fastifyRateLimit from '@fastify/rate-limit'
import Fastify from 'fastify'
import t from 'tap'
import { ipKeyOf, requestRate } from '../../src/request-rate/request-rate.js'
import { buildEchoApp } from '../fixtures/app.js'
import { requestTicket } from '../fixtures/tickets.js'

t.test('H3 addresses of one IPv6 /64 are one, mapped IPv4 is IPv4', async (t) => {
  const app = await buildEchoApp(t, { plugin: { allowInsecure: true, issuePerIp: { max: 2, timeWindow: 60_000 } } })
  const ask = (remoteAddress: string) => requestTicket(app, '/echo', { remoteAddress })
  const statuses: number[] = []
  for (const address of ['2001:db8:1:2::1', '2001:db8:1:2:ffff::2', '2001:db8:1:2::3']) statuses.push((await ask(address)).statusCode)
  t.same(statuses, [201, 201, 429])
  t.equal((await ask('2001:db8:1:3::1')).statusCode, 201)
  for (const address of ['203.0.113.1', '::ffff:203.0.113.1']) t.equal((await ask(address)).statusCode, 201)
  const response = await ask('203.0.113.1')
  t.match(response.json(), { code: 'FST_WS_TICKET_TOO_MANY_REQUESTS', statusCode: 429 })
  t.ok(Number(response.headers['retry-after']) >= 1)
})

t.test('a request without an address has a key too, and one that is over the limit waits', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyRateLimit, { global: false })
  const limit = requestRate(app, 'test', { max: 1, timeWindowMs: 60_000, burst: 1 }, ipKeyOf)
  app.get('/', { onRequest: limit }, async (request) => ipKeyOf(request))
  t.equal((await app.inject({ url: '/', remoteAddress: '' })).statusCode, 200)
  t.equal((await app.inject({ url: '/', remoteAddress: '' })).statusCode, 429)
})

t.test('a store that fails is answered 503', async (t) => {
  class FailingStore {
    incr(_key: string, done: (error: Error) => void): void {
      done(new Error('gone'))
    }
    child(): FailingStore {
      return this
    }
  }
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyRateLimit, { global: false, store: FailingStore })
  const limit = requestRate(app, 'test', { max: 1, timeWindowMs: 60_000, burst: 1 }, ipKeyOf)
  app.get('/', { onRequest: limit }, async () => 'x')
  const response = await app.inject('/')
  t.match(response.json(), { code: 'FST_WS_TICKET_UNAVAILABLE', statusCode: 503 })
  t.equal(response.headers['retry-after'], '1')
})
