import Fastify from 'fastify'
import t from 'tap'
import { redactForeignRequests, redactingSerializer, redactTicket } from '../../src/upgrade/redact.js'
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
