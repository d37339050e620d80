import fastifyHelmet from '@fastify/helmet'
import fastifyJwt from '@fastify/jwt'
import fastifyRateLimit from '@fastify/rate-limit'
import fastifyWebsocket from '@fastify/websocket'
import Fastify, { type FastifyInstance, type FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import t, { type Test } from 'tap'
import { type WsTicketOptions, wsTicket } from '../src/index.js'
import { buildApp, buildEchoApp, echoContract, echoHandlers, JWT_SECRET, ORIGIN } from './fixtures/app.js'
import { connect, connectInjected, listen } from './fixtures/client.js'
import { requestTicket } from './fixtures/tickets.js'

const options: WsTicketOptions = { allowedOrigins: [ORIGIN] }
const echoRoute = { contract: echoContract, handlers: echoHandlers }

async function bareApp(t: Test): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  return app
}

/** A connection at the path answers a message: ticket, upgrade and handler work there. */
async function answersAt(t: Test, app: FastifyInstance, path: string): Promise<void> {
  const client = await connect(t, app, path)
  t.equal((await client.next()).type, '$welcome')
  t.same(await client.request('echo', { text: path }), { type: '$reply', id: 1, payload: { text: path } })
}

t.test('a path behind which /ticket can not stand is refused', async (t) => {
  const app = await buildApp(t)
  for (const path of ['/files/*', '/rooms/:room?', '/rooms/:room?/']) {
    const message = `Option ${path}: the path must not end in a wildcard or an optional parameter, as /ticket stands behind it.`
    t.throws(() => app.wsRoute(path, echoRoute), { code: 'FST_WS_TICKET_INVALID_OPTION', message })
  }
})

const USAGE = "app.wsRoute('/chat', { contract, handlers })"

t.test('a path or options that are none are refused, and the message shows how it is written', async (t) => {
  const app = await buildApp(t)
  const cases: [unknown[], string][] = [
    [
      [{ url: '/a', handlers: {} }],
      `Option 'path' is { url: '/a', handlers: {} }; allowed: a text that begins with /, the options behind it: ${USAGE}.`
    ],
    [['a', echoRoute], `Option 'path' is 'a'; allowed: a text that begins with /, the options behind it: ${USAGE}.`],
    [['', echoRoute], `Option 'path' is ''; allowed: a text that begins with /, the options behind it: ${USAGE}.`],
    [['/a'], `Option /a: 'options' is missing; allowed: an object, as in ${USAGE}.`],
    [['/a', null], `Option /a: 'options' is null; allowed: an object, as in ${USAGE}.`],
    [['/a', () => {}], `Option /a: 'options' is [Function (anonymous)]; allowed: an object, as in ${USAGE}.`]
  ]
  for (const [given, message] of cases) {
    t.throws(() => Reflect.apply(app.wsRoute, app, given), { code: 'FST_WS_TICKET_INVALID_OPTION', message })
  }
})

t.test('where a contract or handlers are missing, the message shows what was given in their place', async (t) => {
  const app = await buildApp(t)
  const cases: [object, string, RegExp][] = [
    [{ handlers: {} }, 'CONTRACT', /^Route \/a: contract is missing; give what defineContract\({ messages, events }\) returns$/],
    [{ contract: { messages: {} }, handlers: {} }, 'CONTRACT', /: contract is { messages: {} }; give what defineContract/],
    [{ contract: echoContract }, 'CONTRACT', /: handlers is missing; give an object with a handler/],
    [{ contract: echoContract, handlers: 'x' }, 'CONTRACT', /: handlers is 'x'; give an object/],
    [{ messages: {}, handlers: {} }, 'OPTION', /: 'messages' is not known; .* It stands in the contract: defineContract/],
    [{ contract: echoContract, events: {}, handlers: {} }, 'OPTION', /: 'events' is not known; .* It stands in the contract:/]
  ]
  for (const [given, kind, message] of cases) {
    t.throws(() => Reflect.apply(app.wsRoute, app, ['/a', given]), { code: `FST_WS_TICKET_INVALID_${kind}`, message })
  }
})

/** What declares a second route at an address of `app.wsRoute('/a/:id')`, before or after it, and what it takes. */
const TAKING: [string, string, (app: FastifyInstance) => unknown][] = [
  ['a REST GET', 'GET /a/:id', (app) => app.get('/a/:id', async () => 'rest')],
  ['a route of all methods', 'GET /a/:id', (app) => app.all('/a/:id', async () => 'rest')],
  ['a REST POST at the ticket route', 'POST /a/:id/ticket', (app) => app.post('/a/:id/ticket', async () => 'rest')],
  ['another of app.wsRoute', 'POST /a/:id/ticket', (app) => app.wsRoute('/a/:id', echoRoute)]
]

for (const [name, taken, declare] of TAKING) {
  t.test(`${name} at the path of a route is refused in words that say why, whichever comes first`, async (t) => {
    const message = `Route /a/:id: app.wsRoute declares GET /a/:id and POST /a/:id/ticket, but ${taken} is declared already; no other route, of REST or of app.wsRoute, can share them: choose another path, or constraints (host, version) that tell the two apart.`
    const expected = { code: 'FST_WS_TICKET_ADDRESS_TAKEN', message }
    const [before, after] = [await buildApp(t), await buildApp(t)]
    declare(before)
    t.throws(() => before.wsRoute('/a/:id', echoRoute), expected)
    after.wsRoute('/a/:id', echoRoute)
    t.throws(() => declare(after), expected)
  })
}

t.test(
  'an address is taken whatever its parameters are called, and under a prefix too; one of another host or method is not',
  async (t) => {
    const app = await buildApp(t)
    await app.register(
      async (scope) => {
        scope.wsRoute('/:room', echoRoute)
        t.throws(() => scope.get('/:id', async () => 'rest'), { code: 'FST_WS_TICKET_ADDRESS_TAKEN', message: /but GET \/v1\/:id is/ })
        scope.wsRoute('/:room', { ...echoRoute, constraints: { host: 'a.example' } })
        scope.get('/:id', { constraints: { host: 'b.example' } }, async () => 'rest')
        scope.post('/:id', async () => 'rest')
      },
      { prefix: '/v1' }
    )
    await listen(app)
    await answersAt(t, app, '/v1/lobby')
  }
)

t.test('what else is wrong with the address of a route is told as Fastify tells it', async (t) => {
  const app = await buildApp(t)
  t.throws(() => app.wsRoute('/a', { ...echoRoute, constraints: { nope: 1 } }), {
    message: /^No strategy registered for constraint key nope$/
  })
})

t.test('the plugin registers what it stands on where the app has not', async (t) => {
  const app = await buildApp(t)
  t.ok(app.hasDecorator('websocketServer'))
  t.ok(app.hasDecorator('createRateLimit'))
  t.ok(app.hasReplyDecorator('helmet'))
  t.equal(app.websocketServer.options.maxPayload, 65_536)
})

t.test('helmet and rate limits that the plugin registers touch its own routes only', async (t) => {
  const app = await buildEchoApp(t)
  app.get('/plain', async () => 'plain')
  const plain = await app.inject('/plain')
  t.equal(plain.headers['content-security-policy'], undefined)
  t.equal(plain.headers['x-ratelimit-limit'], undefined)
  const ticket = await requestTicket(app, '/echo')
  t.type(ticket.headers['content-security-policy'], 'string')
  t.equal(ticket.headers['x-content-type-options'], 'nosniff')
})

t.test('a route may say itself what helmet is to do with its answers', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/denying', { ...echoRoute, helmet: { frameguard: { action: 'deny' } } })
  app.wsRoute('/bare', { ...echoRoute, helmet: false })
  const [denying, bare] = [await requestTicket(app, '/denying'), await requestTicket(app, '/bare')]
  t.match(denying.headers, { 'x-frame-options': 'DENY', 'x-content-type-options': 'nosniff' })
  t.equal(bare.headers['x-frame-options'], undefined)
  await listen(app)
  for (const path of ['/denying', '/bare']) await answersAt(t, app, path)
})

t.test('an answer keeps the headers that the app has set past Fastify, and no other answer gets them', async (t) => {
  const app = await buildApp(t)
  let isFirst = true
  app.addHook('onRequest', async (_request, reply) => {
    if (isFirst) reply.raw.setHeader('x-own', 'set')
    isFirst = false
  })
  app.wsRoute('/echo', echoRoute)
  const [first, second] = [await requestTicket(app, '/echo'), await requestTicket(app, '/echo')]
  t.match(first.headers, { 'x-own': 'set', 'x-frame-options': 'SAMEORIGIN', 'x-content-type-options': 'nosniff' })
  t.match(second.headers, { 'x-frame-options': 'SAMEORIGIN', 'x-content-type-options': 'nosniff' })
  t.equal(second.headers['x-own'], undefined)
})

t.test("the app's own @fastify/websocket, @fastify/rate-limit and @fastify/helmet are used", async (t) => {
  const app = await bareApp(t)
  await app.register(fastifyWebsocket, { options: { maxPayload: 1000 } })
  await app.register(fastifyRateLimit, { max: 5, timeWindow: '1 minute' })
  await app.register(fastifyHelmet, { frameguard: { action: 'deny' } })
  const { websocketServer, createRateLimit } = app
  await app.register(wsTicket, options)
  t.equal(app.websocketServer, websocketServer)
  t.equal(app.createRateLimit, createRateLimit)
  app.wsRoute('/echo', echoRoute)
  const response = await requestTicket(app, '/echo')
  t.equal(response.headers['x-frame-options'], 'DENY')
  t.equal(response.headers['x-ratelimit-limit'], '5')
  await listen(app)
  await answersAt(t, app, '/echo')
})

t.test('the app may have turned off that @fastify/websocket keeps its clients', async (t) => {
  const app = await bareApp(t)
  await app.register(fastifyWebsocket, { options: { clientTracking: false } })
  await app.register(wsTicket, options)
  app.wsRoute('/echo', echoRoute)
  await listen(app)
  await answersAt(t, app, '/echo')
})

t.test('a message larger than maxPayload is refused where the app allows its own sockets more', async (t) => {
  const app = await bareApp(t)
  await app.register(fastifyWebsocket)
  await app.register(wsTicket, { ...options, maxPayload: 100 })
  app.wsRoute('/echo', echoRoute)
  await app.ready()
  const client = await connectInjected(app, '/echo')
  client.send({ type: 'echo', payload: { text: 'x'.repeat(200) } })
  t.equal((await client.closed).code, 1009)
})

t.test("the maxPayload of the app's own @fastify/websocket holds where it is less, and is what the document tells", async (t) => {
  const app = await bareApp(t)
  await app.register(fastifyWebsocket, { options: { maxPayload: 100 } })
  await app.register(wsTicket, options)
  app.wsRoute('/echo', echoRoute)
  await app.ready()
  t.match(JSON.stringify(app.wsTicket.asyncapi()), /"maxPayload":100\b/)
  const client = await connectInjected(app, '/echo')
  client.send({ type: 'echo', id: 1, payload: { text: 'x' } })
  for (const type of ['$welcome', '$reply']) t.equal((await client.next()).type, type)
  client.send({ type: 'echo', payload: { text: 'x'.repeat(100) } })
  t.equal((await client.closed).code, 1009)
})

t.test('an own @fastify/websocket without a limit leaves it to maxPayload', async (t) => {
  const app = await bareApp(t)
  await app.register(fastifyWebsocket, { options: { maxPayload: 0 } })
  await app.register(wsTicket, { ...options, maxPayload: 100 })
  app.wsRoute('/echo', echoRoute)
  await app.ready()
  const client = await connectInjected(app, '/echo')
  client.send({ type: 'echo', payload: { text: 'x'.repeat(100) } })
  t.equal((await client.closed).code, 1009)
})

t.test('routes work under a prefix, in an encapsulated scope', async (t) => {
  const app = await bareApp(t)
  await app.register(
    async (scope) => {
      await scope.register(wsTicket, options)
      scope.wsRoute('/echo', echoRoute)
      scope.wsRoute('/', echoRoute)
    },
    { prefix: '/api' }
  )
  await listen(app)
  t.notOk(app.hasDecorator('wsRoute'))
  await answersAt(t, app, '/api/echo')
  await answersAt(t, app, '/api')
})

t.test('the plugin can be registered in sibling scopes, each with options of its own', async (t) => {
  const lines: string[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: (line: string) => void lines.push(line) } } })
  t.teardown(() => app.close())
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  const scopeOf = (origin: string): FastifyPluginAsync => {
    return async (scope) => {
      await scope.register(wsTicket, { allowedOrigins: [origin] })
      scope.wsRoute('/echo', echoRoute)
    }
  }
  await app.register(scopeOf(ORIGIN), { prefix: '/a' })
  await app.register(scopeOf('https://other.example.com'), { prefix: '/b' })
  await listen(app)
  await answersAt(t, app, '/a/echo')
  t.equal((await requestTicket(app, '/b/echo')).statusCode, 403)
  const headers = { origin: 'https://other.example.com' }
  const client = await connect(t, app, '/b/echo', { headers }, headers)
  t.equal((await client.next()).type, '$welcome')
  t.same(lines, [], 'nothing is worth a warning')
})

t.test('the plugin can be registered in a scope whose parent has it, before or after', async (t) => {
  const app = await bareApp(t)
  const inner: FastifyPluginAsync = async (scope) => {
    await scope.register(wsTicket, options)
    scope.wsRoute('/echo', echoRoute)
  }
  await app.register(inner, { prefix: '/before' })
  await app.register(wsTicket, options)
  app.wsRoute('/echo', echoRoute)
  await app.register(inner, { prefix: '/after' })
  await listen(app)
  for (const path of ['/before/echo', '/echo', '/after/echo']) await answersAt(t, app, path)
})

t.test('the plugin can not be registered twice in one scope, and says what can be done instead', async (t) => {
  const inOneScope: FastifyPluginAsync[] = [
    async (app) => {
      await app.register(wsTicket, options)
      await app.register(wsTicket, { allowedOrigins: ['https://other.example.com'] })
    },
    async (app) => {
      await app.register(fp(async (shared: FastifyInstance) => void (await shared.register(wsTicket, options))))
      app.register(wsTicket, options)
    }
  ]
  for (const register of inOneScope) {
    const app = await bareApp(t)
    app.register(register)
    await t.rejects(async () => await app.ready(), {
      code: 'FST_WS_TICKET_ALREADY_REGISTERED',
      statusCode: 500,
      message: /scope of its own/
    })
  }
})

t.test('the plugin can be registered before and after the routes of the app', async (t) => {
  const app = await bareApp(t)
  app.get('/before', async () => 'before')
  await app.register(wsTicket, options)
  app.get('/after', async () => 'after')
  app.wsRoute('/echo', echoRoute)
  await listen(app)
  t.equal((await app.inject('/before')).body, 'before')
  t.equal((await app.inject('/after')).body, 'after')
  await answersAt(t, app, '/echo')
})

t.test('routes may be declared in plugins that are registered later', async (t) => {
  const app = await buildApp(t)
  await app.register(async (scope) => void scope.wsRoute('/echo', echoRoute), { prefix: '/later' })
  await listen(app)
  await answersAt(t, app, '/later/echo')
})

t.test('an app without anything to authenticate with refuses to start', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(wsTicket, options)
  app.wsRoute('/echo', echoRoute)
  await t.rejects(async () => await app.ready(), { code: 'FST_WS_TICKET_MISSING_AUTHENTICATION' })
})

t.test('an app that authenticates by itself needs no @fastify/jwt', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(wsTicket, { ...options, authenticate: async () => ({ sub: 'ann' }) })
  app.wsRoute('/echo', echoRoute)
  const response = await app.inject({
    method: 'POST',
    url: '/echo/ticket',
    headers: { origin: ORIGIN, 'content-type': 'application/json' }
  })
  t.equal(response.statusCode, 201)
})

t.test('A8 an app that authenticates by itself does not start with a secret of @fastify/jwt that anybody guesses', async (t) => {
  const own = { ...options, authenticate: async () => ({ sub: 'ann' }) }
  for (const namespace of [{}, { namespace: 'chat' }]) {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(wsTicket, own)
    app.wsRoute('/echo', echoRoute)
    await app.register(fastifyJwt, { secret: 'supersecret', ...namespace })
    await t.rejects(async () => await app.ready(), { code: 'FST_WS_TICKET_GUESSABLE_SECRET' })
  }
})

t.test('what else an app calls jwt is not asked to sign', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  let signed = 0
  const name: string = 'jwt'
  app.decorate(name, { sign: () => void signed++ })
  await app.register(wsTicket, { ...options, authenticate: async () => ({ sub: 'ann' }) })
  app.wsRoute('/echo', echoRoute)
  await app.ready()
  t.equal(signed, 0)
})

t.test('@fastify/jwt may be registered after the plugin', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(wsTicket, options)
  app.wsRoute('/echo', echoRoute)
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  t.equal((await requestTicket(app, '/echo')).statusCode, 201)
})

t.test('a bad option refuses to start', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => await app.register(wsTicket, { allowedOrigins: ['*'] }), {
    code: 'FST_WS_TICKET_INVALID_OPTION',
    message: /'allowedOrigins\[0\]' is '\*'; allowed:/
  })
})

t.test("Fastify's own options of register are not taken for the plugin's", async (t) => {
  const app = await bareApp(t)
  await app.register(wsTicket, { ...options, prefix: '/ignored', logLevel: 'warn' })
  app.wsRoute('/echo', echoRoute)
  t.equal((await requestTicket(app, '/echo')).statusCode, 201)
})

t.test('a route that says what its ticket route reads or answers is refused', async (t) => {
  const app = await buildApp(t)
  for (const schema of [{ body: {} }, { response: {} }]) {
    const declare = () => Reflect.apply(app.wsRoute, app, ['/echo', { ...echoRoute, schema }])
    t.throws(declare, { code: 'FST_WS_TICKET_INVALID_OPTION', message: /'schema\.(body|response)' is not for the app to give/ })
  }
})
