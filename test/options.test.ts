import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import Type from 'typebox'
import { systemClock } from '../src/clock.js'
import { defineContract, wsTicket } from '../src/index.js'
import { parseOptions, parseRate, parseRouteLimits, routeOptionNames } from '../src/options.js'
import { buildApp } from './fixtures/app.js'
import { ManualClock } from './fixtures/manual-clock.js'

const ORIGINS = ['https://app.example.com']

t.test('defaults are those of the documentation', async (t) => {
  const settings = parseOptions({ allowedOrigins: ORIGINS })
  t.match(settings, {
    allowedOrigins: new Set(ORIGINS),
    allowMissingOrigin: false,
    allowInsecure: false,
    ticketInSubprotocol: true,
    ticketInQuery: false,
    ticketTtlMs: 30_000,
    maxTicketsPerUser: 10,
    maxTickets: 100_000,
    bindTicketToIp: false,
    replay: 'log',
    issuePerUser: { max: 30, timeWindowMs: 60_000 },
    issuePerIp: { max: 60, timeWindowMs: 60_000 },
    upgradePerIp: { max: 60, timeWindowMs: 60_000 },
    maxPendingHandshakes: 256,
    handshakeTimeoutMs: 5000,
    maxHeaders: 100,
    authenticate: undefined,
    store: undefined,
    clock: systemClock,
    maxPayload: 65_536
  })
  t.same(settings.caps, { total: 10_000, perIp: 100, perUser: 10 })
  t.equal(settings.userId({ sub: 'ann' }), 'ann')
  t.same(parseRouteLimits('/chat', settings, {}).connection, {
    rateLimit: { max: 20, timeWindowMs: 1000, burst: 40 },
    limitViolations: { max: 100, timeWindowMs: 60_000, burst: 100 },
    badMessages: { max: 10, timeWindowMs: 60_000, burst: 10 },
    frameLimit: { max: 50, timeWindowMs: 1000, burst: 200 },
    refreshLimit: { max: 10, timeWindowMs: 60_000, burst: 10 },
    maxPayload: 65_536,
    messageTimeoutMs: 20_000,
    maxDepth: 16,
    inFlight: 1,
    maxQueued: 32,
    handlerTimeoutMs: 10_000,
    maxBuffered: 1_048_576,
    pingIntervalMs: 25_000,
    pongTimeoutMs: 10_000,
    idleTimeoutMs: Number.POSITIVE_INFINITY,
    maxSessionMs: 3_600_000,
    expiryNoticeMs: 60_000,
    closeTimeoutMs: 2000
  })
})

t.test('what is given becomes settings, durations as texts in milliseconds', async (t) => {
  const clock = new ManualClock()
  const authenticate = () => ({ sub: 'ann' })
  const settings = parseOptions({
    allowedOrigins: ORIGINS,
    ticketTransport: ['query'],
    ticketTtl: '1 minute',
    replay: 'disconnect',
    issuePerIp: { max: 5, timeWindow: '1 hour' },
    handshakeTimeout: 50,
    userId: ({ id }: { id: number }) => id,
    authenticate,
    clock,
    maxConnections: 5,
    idleTimeout: '5 minutes'
  })
  t.match(settings, { ticketInSubprotocol: false, ticketInQuery: true, ticketTtlMs: 60_000, replay: 'disconnect', handshakeTimeoutMs: 50 })
  t.same(settings.issuePerIp, { max: 5, timeWindowMs: 3_600_000, burst: 5 })
  t.equal(settings.userId({ id: 7 }), 7)
  t.equal(settings.authenticate, authenticate)
  t.equal(settings.clock, clock)
  t.equal(settings.caps.total, 5)
  t.equal(parseRouteLimits('/chat', settings, {}).connection.idleTimeoutMs, 300_000)
})

t.test('settings are frozen and no longer depend on what was given', async (t) => {
  const given = { allowedOrigins: [...ORIGINS], rateLimit: { max: 1, timeWindow: 1000 } }
  const settings = parseOptions(given)
  given.allowedOrigins.push('https://evil.example')
  given.rateLimit.max = 1000
  t.ok(Object.isFrozen(settings))
  t.notOk(settings.allowedOrigins.has('https://evil.example'))
  const { connection, caps } = parseRouteLimits('/chat', settings, {})
  t.equal(connection.rateLimit.max, 1)
  t.ok([connection, connection.rateLimit, caps].every(Object.isFrozen))
})

const goodOrigins = [
  'https://app.example.com',
  'http://localhost:3000',
  'https://app.example.com:8443',
  'https://127.0.0.1',
  'https://[::1]:8080',
  'https://xn--mnchen-3ya.example',
  'null',
  'capacitor://localhost',
  'ionic://localhost',
  'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
  'tauri://localhost'
]

t.test('D1 D4 origins that browsers and app shells send can be allowed by name', async (t) => {
  for (const origin of goodOrigins) t.ok(parseOptions({ allowedOrigins: [origin] }).allowedOrigins.has(origin), origin)
  t.equal(parseOptions({ allowedOrigins: goodOrigins }).allowedOrigins.size, goodOrigins.length)
})

const badOrigins: unknown[] = [
  '*',
  'https://*',
  'https://*.example.com',
  '^https://.*\\.example\\.com$',
  '/https:\\/\\/.*/',
  /^https:/,
  'https://app.example.com/',
  'https://app.example.com/chat',
  'https://app.example.com?x=1',
  'https://app.example.com#x',
  'https://App.example.com',
  'HTTPS://app.example.com',
  'Capacitor://localhost',
  'capacitor://Localhost',
  'https://app.example.com:443',
  'http://app.example.com:80',
  'https://app.example.com:',
  'https://app.example.com:0443',
  'https://user:password@app.example.com',
  'https://app%2eexample.com',
  'https://münchen.example',
  'https://app.example.com https://b.example.com',
  'https://app.example.com,https://b.example.com',
  ' https://app.example.com',
  'https://app.example.com\n',
  'app.example.com',
  '//app.example.com',
  'https:app.example.com',
  'https://',
  'file://',
  'NULL',
  '',
  null,
  7,
  true
]

t.test('D9 origins that no browser sends, wildcards and patterns refuse to start', async (t) => {
  for (const origin of badOrigins) {
    const given = { allowedOrigins: [...ORIGINS, origin] }
    const expected = {
      code: 'FST_WS_TICKET_INVALID_OPTION',
      message: /^Option 'allowedOrigins\[1\]' is .*; allowed: a list of origins exactly as browsers send/s
    }
    t.throws(() => parseOptions(given), expected, String(origin))
  }
})

t.test('D9 the list of origins must be given, and may be empty only where no origin is needed', async (t) => {
  const cases: [object, RegExp][] = [
    [{}, /'allowedOrigins' is missing; allowed: a list of origins/],
    [{ allowedOrigins: undefined }, /'allowedOrigins' is missing/],
    [{ allowedOrigin: ORIGINS }, /'allowedOrigin' is not known; allowed: allowedOrigins, /],
    [{ allowedOrigins: null }, /'allowedOrigins' is null/],
    [{ allowedOrigins: 'https://app.example.com' }, /'allowedOrigins' is 'https:\/\/app\.example\.com'; allowed: a list/],
    [{ allowedOrigins: '*' }, /'allowedOrigins' is '\*'/],
    [{ allowedOrigins: true }, /'allowedOrigins' is true/],
    [{ allowedOrigins: new Set(ORIGINS) }, /'allowedOrigins' is Set/],
    [{ allowedOrigins: [] }, /'allowedOrigins' is \[\]; allowed: at least one origin/]
  ]
  for (const [given, message] of cases) t.throws(() => parseOptions(given), { code: 'FST_WS_TICKET_INVALID_OPTION', message })
  t.equal(parseOptions({ allowedOrigins: [], allowMissingOrigin: true }).allowedOrigins.size, 0)
})

const rateCases: [unknown, string][] = [
  [7, ''],
  [false, ''],
  [null, ''],
  [{}, '.max'],
  [{ max: 1 }, '.timeWindow'],
  [{ max: 0, timeWindow: 1000 }, '.max'],
  [{ max: 1.5, timeWindow: 1000 }, '.max'],
  [{ max: 1, timeWindow: 'soon' }, '.timeWindow'],
  [{ max: 1, timeWindow: 0 }, '.timeWindow'],
  [{ max: 1, timeWindow: '25 hours' }, '.timeWindow'],
  [{ max: 1, timeWindow: 1000, per: 'user' }, '.per'],
  [{ max: 1, window: 1000 }, '.window']
]

/** For each option values that are refused; at its bounds and of other kinds. */
const badValues: Record<string, unknown[]> = {
  allowMissingOrigin: ['yes', 1, null],
  allowInsecure: ['yes', 0],
  ticketTransport: [[], 'query', ['header'], ['query', 'query'], [null]],
  ticketTtl: [999, 60_001, '61 seconds', '2 minutes', 'soon', '', -1, Number.NaN, null, true],
  maxTicketsPerUser: [0, 1001, '10'],
  maxTickets: [0, 10_000_001],
  bindTicketToIp: ['true'],
  replay: ['kill', true, null],
  maxPendingHandshakes: [0, 1_000_001],
  handshakeTimeout: [49, '61 seconds'],
  maxHeaders: [9, 901],
  authenticate: ['jwt', {}, null],
  userId: ['sub', null],
  store: [{}, null, () => {}, { issue() {}, find() {}, redeem() {}, voidUser() {}, size() {} }],
  clock: [{}, Date, { now() {}, wall() {} }],
  redis: [{}, null, 'redis://127.0.0.1', { isCluster: false, options: {}, duplicate() {} }],
  redisPrefix: ['', 'a b', '{a}', 'a*', 'x'.repeat(65), 7],
  redisTimeout: [9, '2 minutes', false],
  redisReplicas: [-1, 11, '1'],
  maxConnections: [0, 10_000_001, '5'],
  maxConnectionsPerIp: [0, 10_000_001],
  maxConnectionsPerUser: [0, 10_000_001],
  maxPayload: [0, 104_857_601, '64kb'],
  maxDepth: [0, 1001],
  inFlight: [0, 65, 1.5],
  maxQueued: [-1, 1001],
  handlerTimeout: [9, '2 hours'],
  maxBuffered: [1023, 1_073_741_825],
  messageTimeout: [99, '2 hours', false],
  pingInterval: [99, '2 hours', false],
  pongTimeout: [99, '2 hours'],
  idleTimeout: [true, 0, 99, '2 days', 'off'],
  maxSession: [999, '31 days'],
  expiryNotice: [99, '2 days'],
  closeTimeout: [9, '2 minutes']
}

for (const [name, values] of Object.entries(badValues)) {
  t.test(`a bad ${name} refuses to start`, async (t) => {
    for (const value of values) {
      const place = new RegExp(`^Option '${name}(\\[0\\])?' is .+; allowed: .+\\.$`, 's')
      const given = { allowedOrigins: ORIGINS, [name]: value }
      t.throws(() => parseOptions(given), { code: 'FST_WS_TICKET_INVALID_OPTION', statusCode: 500, message: place }, String(value))
    }
  })
}

for (const name of [
  'rateLimit',
  'limitViolations',
  'badMessages',
  'frameLimit',
  'refreshLimit',
  'issuePerUser',
  'issuePerIp',
  'upgradePerIp'
]) {
  t.test(`a bad ${name} refuses to start`, async (t) => {
    for (const [value, place] of rateCases) {
      const message = new RegExp(`^Option '${name}${place.replace('.', '\\.')}' is .+; allowed: .+\\.$`)
      t.throws(
        () => parseOptions({ allowedOrigins: ORIGINS, [name]: value }),
        { code: 'FST_WS_TICKET_INVALID_OPTION', message },
        JSON.stringify(value)
      )
    }
  })
}

t.test('I8 what is given for a Redis client is not shown: it may hold a password', async (t) => {
  for (const redis of ['redis://:canary@127.0.0.1', { password: 'canary' }]) {
    t.throws(() => parseOptions({ allowedOrigins: ORIGINS, redis }), {
      message: `Option 'redis' is of the type ${typeof redis}; allowed: a client of ioredis 5 or 6, or of iovalkey.`
    })
  }
})

t.test('replicas can not be waited for on a Cluster', async (t) => {
  const client = (isCluster: boolean) => ({ isCluster, options: {}, duplicate() {}, call() {} })
  const given = (isCluster: boolean) => ({ allowedOrigins: ORIGINS, redis: client(isCluster), redisReplicas: 1 })
  t.throws(() => parseOptions(given(true)), {
    code: 'FST_WS_TICKET_INVALID_OPTION',
    message: /'redisReplicas' is 1; allowed: 0 with a Cluster/
  })
  t.equal(parseOptions(given(false)).redisReplicas, 1)
})

t.test('requests know no burst; messages do', async (t) => {
  const rate = { max: 2, timeWindow: 1000, burst: 3 }
  for (const name of ['issuePerUser', 'issuePerIp', 'upgradePerIp']) {
    t.throws(() => parseOptions({ allowedOrigins: ORIGINS, [name]: rate }), {
      message: `Option '${name}.burst' is not known; allowed: max, timeWindow.`
    })
  }
  t.same(parseRate('here', rate), { max: 2, timeWindowMs: 1000, burst: 3 })
  t.same(parseRate('here', { max: 2, timeWindow: 1000 }), { max: 2, timeWindowMs: 1000, burst: 2 })
  t.throws(() => parseRate('here', { ...rate, burst: 0 }), {
    message: "Option here: 'burst' is 0; allowed: a whole number from 1 to 1000000."
  })
})

t.test('an unknown option refuses to start and the known ones are named', async (t) => {
  for (const name of ['alowedOrigins', 'origin', 'constructor', 'maxpayload']) {
    const message = new RegExp(`^Option '${name}' is not known; allowed: allowedOrigins, .*closeTimeout\\.$`)
    t.throws(() => parseOptions({ allowedOrigins: ORIGINS, [name]: 1 }), { code: 'FST_WS_TICKET_INVALID_OPTION', message })
  }
})

t.test('options that are no object refuse to start', async (t) => {
  for (const given of [undefined, null, [], 'x', 7]) {
    t.throws(() => parseOptions(given), { code: 'FST_WS_TICKET_INVALID_OPTION', message: /^Option 'options' is .*; allowed: an object of/ })
  }
})

t.test("a route's own limits take the place of the plugin's, one by one", async (t) => {
  const settings = parseOptions({ allowedOrigins: ORIGINS, inFlight: 2, maxQueued: 3, maxConnections: 50, maxPayload: 1000 })
  const { connection, caps } = parseRouteLimits('/chat', settings, {
    inFlight: 4,
    maxConnectionsPerUser: 1,
    maxPayload: 1000,
    idleTimeout: '1 minute'
  })
  t.match(connection, { inFlight: 4, maxQueued: 3, maxPayload: 1000, idleTimeoutMs: 60_000 })
  t.same(caps, { total: 50, perIp: 100, perUser: 1 })
  t.equal(parseRouteLimits('/other', settings, {}).connection.inFlight, 2, 'and only there')
})

t.test("a route can not take in more than the plugin's maxPayload", async (t) => {
  const settings = parseOptions({ allowedOrigins: ORIGINS, maxPayload: 1000 })
  t.throws(() => parseRouteLimits('/chat', settings, { maxPayload: 1001 }), {
    code: 'FST_WS_TICKET_INVALID_OPTION',
    message: "Option /chat: 'maxPayload' is 1001; allowed: at most the plugin's maxPayload, 1000."
  })
})

t.test('the options of a route are those that hold for its connections', async (t) => {
  t.ok(routeOptionNames.includes('rateLimit'))
  t.ok(routeOptionNames.includes('maxConnectionsPerUser'))
  for (const name of ['allowedOrigins', 'ticketTtl', 'store', 'allowInsecure'])
    t.notOk(
      routeOptionNames.some((known) => known === name),
      name
    )
})

t.test('D9 a bad option stops the app from starting, and nothing is decorated', async (t: Test) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(wsTicket, { allowedOrigins: ['*'] })
  await t.rejects(Promise.resolve(app.ready()), { code: 'FST_WS_TICKET_INVALID_OPTION', message: /'allowedOrigins\[0\]' is '\*'/ })
  t.notOk(app.hasDecorator('wsRoute'))
})

const contract = defineContract({ messages: { say: { payload: Type.String() } } })

/** Declares a route as JavaScript may, whatever its options. */
function declare(app: FastifyInstance, options: object): unknown {
  return Reflect.apply(app.wsRoute, app, ['/chat', { contract, handlers: { say: () => {} }, ...options }])
}

const badRouteOptions: [object, RegExp][] = [
  [{ inFligth: 4 }, /^Option \/chat: 'inFligth' is not known; allowed: contract, handlers, .*onRequest, .*inFlight/],
  [{ allowedOrigins: ORIGINS }, /^Option \/chat: 'allowedOrigins' is not known/],
  [{ ticketTtl: 5000 }, /^Option \/chat: 'ticketTtl' is not known/],
  [{ inFlight: 65 }, /^Option \/chat: 'inFlight' is 65; allowed: a whole number from 1 to 64\.$/],
  [{ rateLimit: { max: 1 } }, /^Option \/chat: 'rateLimit\.timeWindow' is missing/],
  [{ maxPayload: 100_000 }, /^Option \/chat: 'maxPayload' is 100000; allowed: at most the plugin's maxPayload, 65536\.$/],
  [{ authorize: true }, /^Option \/chat: 'authorize' is true; allowed: a function\.$/],
  [{ onOpen: 'x' }, /^Option \/chat: 'onOpen' is .*; allowed: a function\.$/],
  [{ onClose: {} }, /^Option \/chat: 'onClose' is .*; allowed: a function\.$/],
  [
    { handlers: { say: { handler: () => {}, rateLimit: { max: 1, timeWindow: 1, per: 'room' } } } },
    /^Option \/chat: rateLimit of 'say': 'per' is/
  ]
]

t.test('bad and unknown options of a route are refused, with the route named, and nothing is declared', async (t: Test) => {
  const app = await buildApp(t)
  for (const [options, message] of badRouteOptions) {
    t.throws(() => declare(app, options), { code: 'FST_WS_TICKET_INVALID_OPTION', statusCode: 500, message })
  }
  await app.ready()
  t.notOk(app.hasRoute({ method: 'GET', url: '/chat' }))
})
