import fastifyJwt from '@fastify/jwt'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import t from 'tap'

const origin = 'https://app.example.com'

t.test('E10 an app that was made before this package was loaded', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyWebsocket)
  await app.register(fastifyJwt, { secret: 'a secret that is long enough for this' })
  app.get('/before/rest', async () => 'rest')
  app.get('/before/ws', { websocket: true }, (socket) => socket.close())
  const { wsTicket } = await import('../../src/index.js')
  const { refusedUpgrade } = await import('../fixtures/upgrade.js')
  const { listen, upgradeStatus } = await import('../fixtures/client.js')
  await app.register(wsTicket, { allowedOrigins: [origin] })
  app.get('/after/hidden', { schema: { hide: true } }, async () => 'hidden')
  const port = await listen(app)
  for (const path of ['/before/rest', '/after/hidden']) {
    t.match(await refusedUpgrade(t, port, path), { status: 404, code: 'FST_WS_TICKET_NO_WEBSOCKET_ROUTE' })
  }
  t.match(await upgradeStatus(t, app, '/before/ws', []), { status: 101 })
})
