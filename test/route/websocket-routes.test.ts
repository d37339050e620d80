import { randomBytes } from 'node:crypto'
import { channel } from 'node:diagnostics_channel'
import fastifyJwt from '@fastify/jwt'
import fastifyWebsocket from '@fastify/websocket'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { wsTicket } from '../../src/index.js'
import type { FastifyRouteOptions } from '../../src/route/route-options.js'
import { buildApp, echoContract, echoHandlers, JWT_SECRET, ORIGIN } from '../fixtures/app.js'
import { listen, open, upgradeStatus } from '../fixtures/client.js'
import { captureLog } from '../fixtures/log.js'
import { issueTicket } from '../fixtures/tickets.js'
import { refusedUpgrade, untilStats } from '../fixtures/upgrade.js'

const notHere = { status: 404, code: 'FST_WS_TICKET_NO_WEBSOCKET_ROUTE' }

function addRoutes(app: FastifyInstance, prefix: string): void {
  app.get(`${prefix}/rest`, async () => 'rest')
  app.get(`${prefix}/hidden`, { schema: { hide: true } }, async () => 'hidden')
  app.get(`${prefix}/unset`, { websocket: false }, async () => 'unset')
}

function addWebSockets(app: FastifyInstance, prefix: string): void {
  app.get(`${prefix}/ws`, { websocket: true }, (socket) => socket.send('{"type":"ws"}'))
  app.route({
    method: 'GET',
    url: `${prefix}/both`,
    handler: async () => 'http',
    wsHandler: (socket) => socket.send('{"type":"both"}')
  })
}

async function checkOrdinaryRoutes(t: Test, app: FastifyInstance, port: number, prefix: string): Promise<void> {
  for (const path of ['/rest', '/hidden', '/unset']) {
    const { text, ...answer } = await refusedUpgrade(t, port, prefix + path)
    t.match(answer, notHere, prefix + path)
    t.match(text, /connection: close/i)
    t.equal((await app.inject(prefix + path)).body, path.slice(1))
  }
}

async function checkWebSockets(t: Test, app: FastifyInstance, prefix: string): Promise<void> {
  t.match(await open(t, app, `${prefix}/ws`, []).next(), { type: 'ws' })
  t.match(await open(t, app, `${prefix}/both`, []).next(), { type: 'both' })
  t.equal((await app.inject(`${prefix}/both`)).body, 'http')
}

for (const isOwn of [true, false]) {
  const whose = isOwn ? "the app's own @fastify/websocket" : 'ours'
  t.test(`E10 an upgrade to an ordinary route is never answered 101, whenever it was declared, with ${whose}`, async (t) => {
    const app: FastifyInstance = Fastify()
    t.teardown(() => app.close())
    await app.register(fastifyJwt, { secret: JWT_SECRET })
    if (isOwn) await app.register(fastifyWebsocket)
    addRoutes(app, '/before')
    if (isOwn) addWebSockets(app, '/before')
    await app.register(wsTicket, { allowedOrigins: [ORIGIN] })
    addRoutes(app, '/after')
    addWebSockets(app, '/after')
    const port = await listen(app)
    for (const prefix of ['/before', '/after']) await checkOrdinaryRoutes(t, app, port, prefix)
    for (const prefix of isOwn ? ['/before', '/after'] : ['/after']) await checkWebSockets(t, app, prefix)
    t.match(await refusedUpgrade(t, port, '/unknown'), notHere)
    t.match(await refusedUpgrade(t, port, '/after/rest', undefined, {}, 'HEAD /after/rest HTTP/1.1'), { status: 400 })
    await untilStats(app)
  })
}

t.test('isTicketUpgrade is true for upgrades of our routes and for nothing else', async (t) => {
  const app: FastifyInstance = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  const seen: [string, boolean][] = []
  app.addHook('onRequest', async (request) => {
    seen.push([`${request.method} ${request.url}`, request.isTicketUpgrade])
  })
  await app.register(wsTicket, { allowedOrigins: [ORIGIN] })
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
  app.get('/own', { websocket: true }, (socket) => socket.close())
  app.get('/rest', async () => 'rest')
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  t.match(await upgradeStatus(t, app, '/echo', ['fastify-ws-ticket.v1', `ticket.${ticket}`]), { status: 101 })
  await upgradeStatus(t, app, '/own', [])
  for (const path of ['/rest', '/unknown']) await refusedUpgrade(t, port, path)
  for (const url of ['/echo', '/rest']) await app.inject({ url, headers: { connection: 'upgrade', upgrade: 'websocket' } })
  await refusedUpgrade(t, port, '/echo', undefined, { Upgrade: 'h2c', Connection: 'close, Upgrade' })
  t.same(seen, [
    ['POST /echo/ticket', false],
    ['GET /echo', true],
    ['GET /own', false],
    ['GET /rest', false],
    ['GET /unknown', false],
    ['GET /echo', false],
    ['GET /rest', false],
    ['GET /echo', false]
  ])
})

t.test("a global hook that verifies the JWT leaves our upgrades out, and nobody else's", async (t) => {
  const app: FastifyInstance = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  app.addHook('onRequest', async (request) => {
    if (!request.isTicketUpgrade) await request.jwtVerify()
  })
  await app.register(wsTicket, { allowedOrigins: [ORIGIN] })
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
  app.get('/own', { websocket: true }, (socket) => socket.close())
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  t.equal((await refusedUpgrade(t, port, '/own')).status, 401)
  t.equal((await app.inject('/echo')).statusCode, 401)
  t.match(await upgradeStatus(t, app, '/echo', ['fastify-ws-ticket.v1', `ticket.${ticket}`]), { status: 101 })
})

const HINT = 'FST_WS_TICKET_UPGRADE_REFUSED_BY_HOOK'

/** Apps whose own hooks refuse upgrades with tickets, and what they answer. */
const REFUSING: Record<
  string,
  { status: number; isHinted: boolean; hook?: (app: FastifyInstance) => unknown; ofRoute?: FastifyRouteOptions }
> = {
  "the route's own hook, which lets its ticket request pass": {
    status: 401,
    isHinted: true,
    ofRoute: { onRequest: (request) => request.jwtVerify() }
  },
  'a hook that asks for a JWT': { status: 401, isHinted: true, hook: (app) => app.addHook('onRequest', (request) => request.jwtVerify()) },
  'a hook that asks for it late': {
    status: 401,
    isHinted: true,
    hook: (app) => app.addHook('preHandler', (request) => request.jwtVerify())
  },
  'a hook that answers by itself': {
    status: 403,
    isHinted: true,
    hook: (app) => app.addHook('onRequest', async (_request, reply) => reply.code(403).send('no session'))
  },
  'a limit on requests': {
    status: 429,
    isHinted: false,
    hook: (app) => app.addHook('onRequest', async (_request, reply) => reply.code(429).send('later'))
  },
  'a hook that refuses what has passed all our checks but the last': {
    status: 403,
    isHinted: false,
    hook: (app) => app.addHook('preHandler', async (_request, reply) => reply.code(403).send('not you'))
  }
}

/** An app with such a hook, and its log. */
async function refusingApp(t: Test, hook?: (app: FastifyInstance) => unknown, ofRoute?: FastifyRouteOptions) {
  const { logger, lines } = captureLog('warn')
  const app = await buildApp(t, { server: { logger }, plugin: { ticketTransport: ['subprotocol', 'query'] } })
  hook?.(app)
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, ...ofRoute })
  return { app, lines, port: await listen(app) }
}

for (const [name, { status, isHinted, hook, ofRoute }] of Object.entries(REFUSING)) {
  t.test(
    `an upgrade with a ticket that is refused by ${name} is ${isHinted ? 'explained in the log, once' : 'not explained'}`,
    async (t) => {
      const { app, lines, port } = await refusingApp(t, hook, ofRoute)
      const ticket = randomBytes(32).toString('base64url')
      await refusedUpgrade(t, port, '/echo')
      t.same(lines, [], 'nothing is said of an upgrade without a ticket')
      const knocks = [() => refusedUpgrade(t, port, '/echo', ticket), () => refusedUpgrade(t, port, `/echo?ticket=${ticket}`)]
      for (const knock of [...knocks, ...knocks]) {
        const answer = await knock()
        t.equal(answer.status, status)
        t.notMatch(answer.text, /isTicketUpgrade|REFUSED_BY_HOOK/, 'the client is not told')
      }
      const hints = lines.map(({ code, level, statusCode, route }) => ({ code, level, statusCode, route }))
      t.same(hints, isHinted ? [{ code: HINT, level: 40, statusCode: status, route: '/echo' }] : [])
      t.notMatch(JSON.stringify(lines), ticket)
      await untilStats(app)
    }
  )
}

t.test('a ticket in the query is as good a sign, and what we refuse ourselves is not laid on a hook of the app', async (t) => {
  const { app, lines, port } = await refusingApp(t, (app) =>
    app.addHook('onRequest', async (request) => request.headers['x-open'] ?? (await request.jwtVerify()))
  )
  const ticket = randomBytes(32).toString('base64url')
  const open = { 'X-Open': 'yes' }
  t.match(await refusedUpgrade(t, port, '/echo', ticket, open), { status: 401, code: 'FST_WS_TICKET_INVALID_TICKET' })
  t.match(await refusedUpgrade(t, port, '/echo', undefined, open), { status: 401, code: 'FST_WS_TICKET_INVALID_TICKET' })
  t.equal((await refusedUpgrade(t, port, '/echo', ticket, { ...open, Origin: 'https://evil.example' })).status, 403)
  t.equal((await app.inject('/echo')).statusCode, 401, 'no upgrade')
  t.same(lines, [])
  t.equal((await refusedUpgrade(t, port, `/echo?ticket=${ticket}`)).status, 401)
  t.match(lines, [{ code: HINT }])
  t.notMatch(JSON.stringify(lines), ticket)
  await untilStats(app)
})

t.test('options of a route that nobody knows, and hooks that are none, are refused', async (t) => {
  const app = await buildApp(t)
  const options = { contract: echoContract, handlers: echoHandlers }
  const cases = [
    { ...options, rateLimt: 1 },
    { ...options, onOpen: 'x' },
    { ...options, authorize: 1 },
    { ...options, maxPayload: 1_000_000 }
  ]
  for (const wrong of cases) t.throws(() => Reflect.apply(app.wsRoute, app, ['/x', wrong]), { code: 'FST_WS_TICKET_INVALID_OPTION' })
  for (const wrong of [{ handlers: {} }, { contract: {}, handlers: {} }, { contract: echoContract }]) {
    t.throws(() => Reflect.apply(app.wsRoute, app, ['/x', wrong]), { code: 'FST_WS_TICKET_INVALID_CONTRACT' })
  }
})

t.test('hooks and parameters of a route hold for its ticket and its upgrade, and its tickets for its constraints', async (t) => {
  const app = await buildApp(t)
  const calls: string[] = []
  const hook = async (request: { method: string }) => void calls.push(request.method)
  for (const host of ['a.example', 'b.example']) {
    app.wsRoute('/rooms/:room', {
      contract: echoContract,
      handlers: echoHandlers,
      constraints: { host },
      onRequest: [hook],
      preHandler: hook,
      schema: { params: { type: 'object', properties: { room: { type: 'string', maxLength: 3 } } }, querystring: {}, headers: {} }
    })
  }
  const port = await listen(app)
  const ticket = await issueTicket(app, '/rooms/1', { headers: { host: 'a.example' } })
  t.match(await refusedUpgrade(t, port, '/rooms/1', ticket, { Host: 'b.example' }), { status: 401 })
  t.match(await refusedUpgrade(t, port, '/rooms/1234', ticket, { Host: 'a.example' }), { status: 400 })
  t.same(calls, ['POST', 'POST', 'GET', 'GET', 'GET'])
  const answer = upgradeStatus(t, app, '/rooms/1', ['fastify-ws-ticket.v1', `ticket.${ticket}`], { headers: { host: 'a.example' } })
  t.match(await answer, { status: 101 })
})

t.test('what others publish where Fastify tells of its instances is left alone', async (t) => {
  t.doesNotThrow(() => channel('fastify.initialization').publish({ fastify: 'not an app' }))
})
