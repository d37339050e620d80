import Fastify, { type FastifyServerOptions } from 'fastify'
import t from 'tap'
import { redactForeignRequests, redactingSerializer, redactTicket } from '../../src/upgrade/redact.js'
import { buildEchoApp, echoContract, echoHandlers } from '../fixtures/app.js'
import { captureLog } from '../fixtures/log.js'

t.test('C9 every ticket in a query is redacted, however its name is spelled', async (t) => {
  const cases = [
    ['/chat', '/chat'],
    ['/chat?ticket=x', '/chat?ticket=[redacted]'],
    ['/chat?a=1&ticket=x&b=2&ticket=y', '/chat?a=1&ticket=[redacted]&b=2&ticket=[redacted]'],
    ['/chat?%74icket=x', '/chat?%74icket=[redacted]'],
    ['/chat?ticket=a=b', '/chat?ticket=[redacted]'],
    ['/chat#ticket=x', '/chat#ticket=[redacted]'],
    ['/chat;ticket=x?a=1', '/chat;ticket=[redacted]?a=1'],
    ['/chat?tickets=x&%zz=1', '/chat?tickets=x&%zz=1']
  ]
  for (const [url = '', expected] of cases) t.equal(redactTicket(url), expected)
})

t.test('C9 with a logger that is not pino, requests are summarised', async (t) => {
  const { log } = Fastify()
  const request = { method: 'GET', url: '/chat?ticket=x', host: 'h', ip: '127.0.0.1' }
  const line = Reflect.apply(redactingSerializer(log), undefined, [request])
  t.same(line, { method: 'GET', url: '/chat?ticket=[redacted]', host: 'h', remoteAddress: '127.0.0.1' })
  t.doesNotThrow(() => redactForeignRequests(log))
})

t.test('C9 a serializer of the app that logs no URL is left as it is', async (t) => {
  const app = Fastify({ logger: { level: 'silent', serializers: { req: ({ method }) => ({ method }) } } })
  t.teardown(() => app.close())
  t.same(Reflect.apply(redactingSerializer(app.log), undefined, [{ method: 'GET', url: '/chat?ticket=x' }]), { method: 'GET' })
})

t.test("C9 elsewhere only what looks like a ticket is redacted, and the app's own serializer is kept", async (t) => {
  const { logger, lines } = captureLog('info')
  const app = Fastify({ logger: { ...logger, serializers: { req: ({ url }) => ({ url, mine: true }) } } })
  t.teardown(() => app.close())
  redactForeignRequests(app.log)
  redactForeignRequests(app.log)
  app.get('/events', async () => 'events')
  await app.inject(`/events?ticket=${'x'.repeat(43)}`)
  await app.inject('/events?ticket=concert')
  const urls = lines.filter(({ msg }) => msg === 'incoming request').map(({ req }) => req)
  t.same(urls, [
    { url: '/events?ticket=[redacted]', mine: true },
    { url: '/events?ticket=concert', mine: true }
  ])
})

t.test('C9 a ticket in the query of a request that is no upgrade is taken out before any hook of the route', async (t) => {
  const seen: string[] = []
  const app = await buildEchoApp(t, { plugin: { ticketTransport: ['subprotocol', 'query'] } })
  app.addHook('onResponse', async ({ url, originalUrl, query }) => void seen.push(JSON.stringify([url, originalUrl, query])))
  app.wsRoute('/later', { contract: echoContract, handlers: echoHandlers })
  const response = await app.inject(`/later?ticket=${'x'.repeat(43)}&a=1`)
  t.equal(response.statusCode, 426)
  t.same(seen, [JSON.stringify(['/later?ticket=[redacted]&a=1', '/later?ticket=[redacted]&a=1', { a: '1' }])])
})

t.test('C9 nor is it in the address from before an app rewrote it', async (t) => {
  const seen: string[] = []
  const server: FastifyServerOptions = { rewriteUrl: ({ url }) => String(url).replace('/v1/', '/') }
  const app = await buildEchoApp(t, { server, plugin: { ticketTransport: ['subprotocol', 'query'] } })
  app.addHook('onResponse', async ({ url, originalUrl }) => void seen.push(url, originalUrl))
  app.wsRoute('/later', { contract: echoContract, handlers: echoHandlers })
  await app.inject(`/v1/later?ticket=${'x'.repeat(43)}`)
  t.same(seen, ['/later?ticket=[redacted]', '/v1/later?ticket=[redacted]'])
})
