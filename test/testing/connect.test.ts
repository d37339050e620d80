import fastifyJwt from '@fastify/jwt'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { defineContract, wsTicket } from '../../src/index.js'
import { connect } from '../../src/testing/index.js'
import { buildApp, buildEchoApp, echoContract, echoHandlers, JWT_SECRET, ORIGIN } from '../fixtures/app.js'
import { makeCertificate } from '../fixtures/certificate.js'
import { needs } from '../fixtures/parts.js'
import { withHttps } from '../fixtures/server-options.js'

/** Patient, for a machine that is busy. */
const timeout = 30_000
const ann = { user: { sub: 'ann' }, timeout }
const nothing = { contract: defineContract({}), handlers: {} }

t.test('a connection is opened with a ticket, and says who it is', async (t) => {
  const app = await buildEchoApp(t)
  const connection = await connect<typeof echoContract>(app, '/echo', ann)
  const [seen] = app.wsTicket.connections()
  t.match(seen, { id: connection.id, userId: 'ann', ip: '127.0.0.1', expiresAt: connection.expiresAt })
  t.same(await connection.request('echo', { text: 'hello' }), { text: 'hello' })
  t.same(connection.unread, [])
  t.same(await connection.close(), { code: 1000, reason: '' })
})

t.test('an option that is not known is named, with those that are', async (t) => {
  const app = await buildEchoApp(t)
  await t.rejects(Reflect.apply(connect, undefined, [app, '/echo', { usr: { sub: 'ann' }, timeout }]), {
    name: 'TypeError',
    message: "connect has no option 'usr'; allowed: user, token, headers, origin, ip, timeout, autoPong."
  })
  await t.rejects(Reflect.apply(connect, undefined, [app, '/echo', { ...ann, toString: 1 }]), /no option 'toString'/)
  const everything = { ...ann, headers: {}, origin: ORIGIN, ip: '127.0.0.1', autoPong: false }
  t.equal((await (await connect(app, '/echo', everything)).close()).code, 1000)
  t.equal((await (await connect(app, '/echo', { token: app.jwt.sign({ sub: 'ann' }), timeout })).close()).code, 1000)
})

t.test('what the server sends with the welcome is not missed', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/early', {
    contract: echoContract,
    handlers: echoHandlers,
    onOpen(connection) {
      for (const text of ['1', '2']) connection.send('news', { text })
    }
  })
  const connection = await connect<typeof echoContract>(app, '/early', ann)
  t.same((await connection.next()).payload, { text: '1' })
  t.same((await connection.next('news')).payload, { text: '2' })
})

t.test('who is refused a ticket is told why, with all that the answer says', async (t) => {
  const app = await buildEchoApp(t, { plugin: { maxTicketsPerUser: 1, issuePerUser: { max: 1, timeWindow: '1 minute' } } })
  await t.rejects(connect(app, '/echo?a=b', { timeout }), {
    code: 'FST_WS_TICKET_UNAUTHENTICATED',
    statusCode: 401,
    message: /^POST \/echo\/ticket\?a=b: Authentication failed/
  })
  await t.rejects(connect(app, '/echo', { token: 'none', timeout }), { code: 'FST_WS_TICKET_UNAUTHENTICATED', statusCode: 401 })
  await t.rejects(connect(app, '/echo', { ...ann, origin: 'https://evil.example' }), { code: 'FST_WS_TICKET_ORIGIN_REFUSED' })
  await t.rejects(connect(app, '/echo', { ...ann, origin: null }), { code: 'FST_WS_TICKET_ORIGIN_MISSING' })
  await t.rejects(connect(app, '/elsewhere', ann), { code: 'TICKET_FAILED', statusCode: 404 })
  await connect(app, '/echo', ann)
  await t.rejects(connect(app, '/echo', ann), { code: 'FST_WS_TICKET_TOO_MANY_REQUESTS', statusCode: 429, retryAfter: 60_000 })
})

t.test('who is refused the upgrade is told why, whoever refuses it and in whatever form', async (t) => {
  const app = await buildApp(t)
  const refusing = (path: string, refuse: () => unknown) =>
    app.wsRoute(path, { ...nothing, onRequest: async (request, reply) => (request.isTicketUpgrade ? refuse.call(reply) : undefined) })
  refusing('/error', () => {
    throw Object.assign(new Error('Not today.'), { statusCode: 403, code: 'NOT_TODAY' })
  })
  app.wsRoute('/text', {
    ...nothing,
    onRequest: async (request, reply) => (request.isTicketUpgrade ? reply.code(418).header('retry-after', '7').send('no') : undefined)
  })
  app.wsRoute('/empty', {
    ...nothing,
    onRequest: async (request, reply) => (request.isTicketUpgrade ? reply.code(503).send() : undefined)
  })
  app.wsRoute('/silent', {
    ...nothing,
    onRequest: async (request) => (request.isTicketUpgrade ? void request.raw.socket.destroy() : undefined)
  })
  await t.rejects(connect(app, '/error', ann), { code: 'NOT_TODAY', statusCode: 403, message: 'The upgrade at /error: Not today.' })
  await t.rejects(connect(app, '/text', ann), {
    code: 'DISCONNECTED',
    statusCode: 418,
    retryAfter: 7000,
    message: 'The upgrade at /text: Refused with 418.'
  })
  await t.rejects(connect(app, '/empty', ann), { code: 'DISCONNECTED', statusCode: 503 })
  await t.rejects(connect(app, '/silent', ann), { code: 'DISCONNECTED', statusCode: undefined, cause: { code: 'ECONNRESET' } })
})

t.test('a connection that is closed in place of a welcome is told of', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/mute', { ...nothing, onOpen: (connection) => connection.close(1008, 'no') })
  const connection = await connect(app, '/mute', ann)
  t.same(await connection.closed(), { code: 1008, reason: 'no' })
})

t.test('an app that does not answer is not waited for', async (t) => {
  const app = await buildApp(t)
  const hang = () => new Promise<never>(() => {})
  app.wsRoute('/ticket', { ...nothing, authorize: hang })
  app.wsRoute('/upgrade', { ...nothing, onRequest: async (request) => (request.isTicketUpgrade ? hang() : undefined) })
  const late = (request: string) => ({ code: 'TIMEOUT', message: `${request}: The server did not answer within 200 ms.` })
  await t.rejects(connect(app, '/ticket', { ...ann, timeout: 200 }), late('POST /ticket/ticket'))
  await t.rejects(connect(app, '/upgrade', { ...ann, timeout: 200 }), late('The upgrade at /upgrade'))
})

t.test('an address may be anybody and is one with TLS, since the peer is asked for it', async (t) => {
  const app = await buildEchoApp(t, { plugin: { bindTicketToIp: true, maxConnectionsPerIp: 1 } })
  const [one, other] = await Promise.all(['203.0.113.7', '2001:db8::1'].map((ip) => connect(app, '/echo', { ...ann, ip })))
  t.ok(one && other)
  t.same(
    app.wsTicket
      .connections()
      .map(({ ip }) => ip)
      .sort(),
    ['2001:db8::1', '203.0.113.7']
  )
  await t.rejects(connect(app, '/echo', { ...ann, ip: '203.0.113.7' }), { code: 'FST_WS_TICKET_IP_CONNECTED', statusCode: 429 })
})

t.test('behind a proxy the headers say it, and they go with both requests', async (t) => {
  const app = await buildEchoApp(t, { server: { trustProxy: true } })
  const headers = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https' }
  await connect(app, '/echo', { ...ann, headers })
  t.same(
    app.wsTicket.connections().map(({ ip }) => ip),
    ['203.0.113.9']
  )
  await t.rejects(connect(app, '/echo', { ...ann, headers: { ...headers, 'x-forwarded-proto': 'http' } }), {
    code: 'FST_WS_TICKET_TLS_REQUIRED'
  })
})

t.test('an app that authenticates by itself is sent what it wants; a token goes with no upgrade', async (t) => {
  const authorizations: unknown[] = []
  const app = await buildApp(t, { plugin: { authenticate: ({ headers }) => ({ sub: headers['x-user'] }) } })
  app.addHook('onRequest', async ({ headers }) => void authorizations.push(headers.authorization))
  app.wsRoute('/own', nothing)
  await connect(app, '/own', { headers: { 'x-user': 'ann', authorization: 'Own secret' }, timeout })
  t.same(authorizations, ['Own secret', undefined])
  t.same(
    app.wsTicket.connections().map(({ userId }) => userId),
    ['ann']
  )
})

/** An app with nothing but the plugin; not of the fixtures, whose app has @fastify/jwt. */
function bareApp(t: { teardown(end: () => unknown): void }): FastifyInstance {
  const app = Fastify()
  t.teardown(() => app.close())
  return app
}

t.test('a token is made by what the app has, and its lack is told', async (t) => {
  const app = bareApp(t)
  await app.register(fastifyJwt, { secret: JWT_SECRET, namespace: 'own' })
  await app.register(wsTicket, {
    allowedOrigins: [ORIGIN],
    authenticate: (request) => Reflect.apply(Reflect.get(request, 'ownJwtVerify'), request, [])
  })
  app.wsRoute('/echo', nothing)
  await app.ready()
  await t.rejects(connect(app, '/echo', ann), { name: 'TypeError', message: /give token or headers/ })
  const token = Reflect.get(Reflect.get(app.jwt, 'own'), 'sign')({ sub: 'bob' })
  await connect(app, '/echo', { token, timeout })
  t.same(
    app.wsTicket.connections().map(({ userId }) => userId),
    ['bob']
  )
})

t.test('an app without the plugin is told so', async (t) => {
  await t.rejects(connect(bareApp(t), '/echo', ann), { name: 'TypeError', message: /has not registered/ })
})

t.test('path and query are those of the route, however it takes its ticket', async (t) => {
  const app = await buildApp(t, { plugin: { ticketTransport: ['query'], allowedOrigins: [], allowMissingOrigin: true } })
  const rooms: unknown[] = []
  app.wsRoute('/rooms/:room/', { ...nothing, onRequest: async ({ query }) => void rooms.push(Reflect.get(Object(query), 'lang')) })
  await connect(app, '/rooms/a%20b/?lang=de', ann)
  await connect(app, '/rooms/c/', ann)
  t.same(rooms, ['de', 'de', undefined, undefined])
  t.same(
    app.wsTicket.connections().map(({ params }) => params),
    [{ room: 'a b' }, { room: 'c' }]
  )
})

t.test('a plugin that is registered more than once is asked with the options of the registration that has the route', async (t) => {
  const app = bareApp(t)
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  const origins: string[] = []
  const place = (name: string, ...paths: string[]) =>
    app.register(async (scope) => {
      const origin = `https://${name}.example`
      await scope.register(wsTicket, { allowedOrigins: [origin], ticketTransport: name === 'query' ? ['query'] : ['subprotocol'] })
      for (const path of paths)
        scope.wsRoute(path, { ...nothing, onRequest: async ({ headers }) => void origins.push(String(headers.origin)) })
    })
  await place('first', '/first', '/:tenant/:room')
  await place('other', '/rooms/:room', '/:tenant/own')
  await place('query', '/query/', '/rooms/lobby')
  for (const [path, name] of Object.entries({
    '/first': 'first',
    '/acme/red': 'first',
    '/rooms/red?lang=de': 'other',
    '/acme/own': 'other',
    '/rooms/own': 'other',
    '/query/': 'query',
    '/rooms/lobby': 'query'
  })) {
    origins.length = 0
    await connect(app, path, ann)
    t.same(origins, [`https://${name}.example`, `https://${name}.example`], path)
  }
  await t.rejects(connect(app, '/rooms/red', { ...ann, origin: 'https://first.example' }), { code: 'FST_WS_TICKET_ORIGIN_REFUSED' })
  await t.rejects(connect(app, '/nowhere', ann), { code: 'TICKET_FAILED', message: /not found/ })
})

t.test('the bytes of a connection are counted as over a network', async (t) => {
  const app = await buildEchoApp(t)
  const connection = await connect<typeof echoContract>(app, '/echo', ann)
  const link: unknown = Reflect.get(connection.socket, '_socket')
  await connection.request('echo', { text: 'x'.repeat(1000) })
  await connection.close()
  const { bytes } = app.wsTicket.stats().totals.routes['/echo'] ?? {}
  t.ok(bytes && bytes.received > 1000 && bytes.sent > 1000)
  t.match(link, { bytesWritten: bytes?.received, bytesRead: bytes?.sent })
})

t.test('a server with TLS takes connections, too, and nothing is left of them when it closes', async (t) => {
  if (!needs(t, 'openssl')) return
  const app = await buildEchoApp(t, { server: withHttps(await makeCertificate(t)) })
  const connection = await connect(app, '/echo', { ...ann, ip: '203.0.113.7' })
  const closed = connection.closed()
  await app.close()
  t.same(await closed, { code: 1012, reason: 'the server restarts' })
})
