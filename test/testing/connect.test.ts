import { inspect } from 'node:util'
import fastifyJwt from '@fastify/jwt'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { defineContract, systemClock, wsTicket } from '../../src/index.js'
import { connect } from '../../src/testing/index.js'
import { MemoryTicketStore } from '../../src/ticket/memory-store.js'
import { buildApp, buildEchoApp, echoContract, echoHandlers, JWT_SECRET, ORIGIN } from '../fixtures/app.js'
import { makeCertificate } from '../fixtures/certificate.js'
import { needs } from '../fixtures/parts.js'
import { rejectionOf } from '../fixtures/places.js'
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

t.test('an app that fails says why to its test, which no client is told', async (t) => {
  const app = await buildApp(t, {
    plugin: { store: Object.assign(new MemoryTicketStore({ clock: systemClock, maxTickets: 1, maxTicketsPerUser: 1 }), failing) }
  })
  app.wsRoute('/store', nothing)
  app.wsRoute('/authorize', { ...nothing, authorize: (request) => Reflect.get(Object(request.headers['x-none']), 'x').y })
  await t.rejects(connect(app, '/authorize', ann), {
    code: 'FST_WS_TICKET_AUTHORIZE_FAILED',
    message: /open this connection\. Why: TypeError: Cannot read properties of undefined \(reading 'y'\)$/,
    cause: TypeError
  })
  await t.rejects(connect(app, '/store', ann), { code: 'FST_WS_TICKET_UNAVAILABLE', statusCode: 503, cause: { message: 'no store' } })
  await t.rejects(connect(app, '/store', { token: 'none', timeout }), {
    message: /Why: FastifyError \[FST_JWT_.*\]: Authorization token is/
  })
  await t.rejects(connect(app, '/store', { user: { name: 'ann' }, timeout }), {
    code: 'FST_WS_TICKET_UNAUTHENTICATED',
    message: / Why: the claims name no user: put the user's id into sub, or set the option userId$/,
    cause: { message: /^the claims name no user/, stack: /^Error: the claims name no user.*$/ }
  })
})

const failing = {
  issue() {
    throw new Error('no store')
  }
}

t.test('what an app of its own way answers to a failure is to be looked up in its log', async (t) => {
  const app = await buildApp(t)
  app.setErrorHandler((_error, _request, reply) => reply.code(500).send({ message: 'Oops' }))
  app.wsRoute('/own', {
    ...nothing,
    async preHandler() {
      throw new Error('hidden')
    }
  })
  await t.rejects(connect(app, '/own', ann), {
    statusCode: 500,
    message: 'POST /own/ticket: Oops. Why, says its log; give the app a logger: Fastify({ logger: true }).'
  })
})

t.test('C9 no error of the kit shows a token or a ticket that the app has put into its own', async (t) => {
  const app = await buildApp(t, { plugin: { authenticate: ({ headers }) => (headers['x-user'] ? { sub: 'ann' } : null) } })
  app.wsRoute('/telling', {
    ...nothing,
    authorize({ headers }) {
      throw new Error(`nobody has ${headers.authorization ?? headers.cookie ?? headers['x-jwt']}`)
    }
  })
  const token = 'a-token-of-some-length'
  const jwt = app.jwt.sign({ sub: 'ann' })
  const sent = [
    { token, headers: { 'x-user': 'ann' } },
    { headers: { 'x-user': 'ann', cookie: `a=b; session=${token}` } },
    { headers: { 'x-user': 'ann', 'x-jwt': jwt } }
  ]
  for (const who of sent) {
    const error: unknown = await rejectionOf(connect(app, '/telling', { ...who, timeout }))
    t.match(error, { message: /Why: what was thrown is left out, as it shows a token or a ticket$/ })
    for (const secret of [token, jwt]) t.notOk(inspect(error, { depth: 9 }).includes(secret))
  }
  const open = { headers: { 'x-user': 'ann', 'x-jwt': 'no token, but of some length' }, timeout }
  await t.rejects(connect(app, '/telling', open), { cause: { message: 'nobody has no token, but of some length' } })
})

t.test('a hook of the app that refuses the upgrade is named, with what to do', async (t) => {
  const app = await buildApp(t)
  const reason =
    / Why: .*A hook of the app refused an upgrade before its ticket was looked at\. An upgrade carries a ticket and no JWT: let .* request\.isTicketUpgrade is true\.$/
  app.wsRoute('/hook', { ...nothing, onRequest: async (request) => void (await request.jwtVerify()) })
  app.wsRoute('/own', {
    ...nothing,
    onRequest: async (request, reply) => (request.headers.authorization ? undefined : reply.code(401).send())
  })
  for (let n = 0; n < 2; n++) {
    await t.rejects(connect(app, '/hook', ann), {
      code: 'FST_JWT_NO_AUTHORIZATION_IN_HEADER',
      statusCode: 401,
      message: reason,
      cause: { code: 'FST_WS_TICKET_UPGRADE_REFUSED_BY_HOOK' }
    })
  }
  await t.rejects(connect(app, '/own', ann), { code: 'DISCONNECTED', statusCode: 401, message: reason })
})

t.test('a user is signed in by the secret of the scope that has the route', async (t) => {
  const app = bareApp(t)
  const scopes: FastifyInstance[] = []
  for (const tenant of ['acme', 'globex']) {
    app.register(
      async (scope) => {
        await scope.register(fastifyJwt, { secret: `${JWT_SECRET} of ${tenant}` })
        await scope.register(wsTicket, { allowedOrigins: [ORIGIN] })
        scope.wsRoute('/chat', nothing)
        scopes.push(scope)
      },
      { prefix: `/${tenant}` }
    )
  }
  await connect(app, '/acme/chat', ann)
  await connect(app, '/globex/chat', ann)
  const [acme] = scopes
  await t.rejects(connect(app, '/globex/chat', { token: String(acme?.jwt.sign({ sub: 'ann' })), timeout }), {
    code: 'FST_WS_TICKET_UNAUTHENTICATED',
    statusCode: 401
  })
  for (const scope of scopes) await connect(scope, '/acme/chat', ann)
  await t.rejects(connect(await buildApp(t), '/chat', ann), { message: /: none\.$/ })
  await t.rejects(connect(scopes[0] ?? app, '/chat', { timeout }), {
    code: 'TICKET_FAILED',
    message: 'POST /chat/ticket: Route POST:/chat/ticket not found. Routes of wsRoute, with their prefixes: /acme/chat, /globex/chat.'
  })
})

t.test('a scope that is given for its app is not waited for alone', async (t) => {
  const app = bareApp(t)
  const given: FastifyInstance[] = []
  await app.register(async (scope) => {
    await scope.register(fastifyJwt, { secret: JWT_SECRET })
    await scope.register(wsTicket, { allowedOrigins: [ORIGIN] })
    scope.wsRoute('/chat', nothing)
    given.push(scope)
  })
  t.equal((await (await connect(given[0] ?? app, '/chat', ann)).close()).code, 1000)
})

t.test('what is no path, or has a parameter left in it, is refused', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/rooms/:room', nothing)
  for (const path of ['rooms/1', '', 'ws://localhost/rooms/1', undefined]) {
    await t.rejects(Reflect.apply(connect, undefined, [app, path, ann]), {
      name: 'TypeError',
      message: `The path is '${path}'; give the whole path of the route, which begins with '/', and no host.`
    })
  }
  await t.rejects(connect(app, '/rooms/:room?lang=de', ann), {
    name: 'TypeError',
    message: "The path '/rooms/:room?lang=de' has a parameter in it; fill it in, such as '/rooms/1'."
  })
  for (const path of ['/rooms/%3Aroom', '/rooms/a:b', '/rooms/1?at=/:room']) await connect(app, path, ann)
  t.same(
    app.wsTicket.connections().map(({ params }) => params),
    [{ room: ':room' }, { room: 'a:b' }, { room: '1' }]
  )
})
