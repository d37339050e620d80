import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import fastifyJwt from '@fastify/jwt'
import fastifySwagger from '@fastify/swagger'
import Fastify, { type FastifyInstance, type LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { fail } from '../../src/errors.js'
import { type TicketStore, type WsTicketOptions, wsTicket } from '../../src/index.js'
import { callerOf } from '../../src/ticket/issue.js'
import { MemoryTicketStore } from '../../src/ticket/memory-store.js'
import { hashTicket } from '../../src/ticket/ticket.js'
import { bearer, buildApp, buildEchoApp, echoContract, echoHandlers, JWT_SECRET, ORIGIN } from '../fixtures/app.js'
import { connectInjected } from '../fixtures/client.js'
import { handSigned, unsigned } from '../fixtures/jwt.js'
import { captureLog } from '../fixtures/log.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { issueTicket, requestTicket, type TicketRequest } from '../fixtures/tickets.js'
import { as, buildTimedApp, expiresIn } from '../fixtures/timed-app.js'

const echo = { contract: echoContract, handlers: echoHandlers }
const nowSeconds = () => Math.floor(Date.now() / 1000)

function refusedWith(t: Test, response: LightMyRequestResponse, statusCode: number, code: string, app: FastifyInstance, tickets = 0): void {
  t.equal(response.statusCode, statusCode)
  t.match(response.json(), { statusCode, code: `FST_WS_TICKET_${code}`, error: String, message: String })
  t.notMatch(response.body, 'ticket.', 'no ticket in the body')
  t.equal(app.wsTicket.stats().tickets, tickets, 'nothing is issued')
}

function withToken(token: string) {
  return { headers: { authorization: `Bearer ${token}` } }
}

t.test('A11 a ticket is issued as documented', async (t) => {
  const app = await buildEchoApp(t)
  const response = await requestTicket(app, '/echo')
  t.equal(response.statusCode, 201)
  t.equal(response.headers['cache-control'], 'no-store')
  t.match(response.headers['content-type'], /^application\/json/)
  const body = response.json()
  t.match(body.ticket, /^[A-Za-z0-9_-]{43}$/)
  t.strictSame(body, { ticket: body.ticket, expiresIn: 30, protocols: ['fastify-ws-ticket.v1', `ticket.${body.ticket}`] })
  t.equal(app.wsTicket.stats().tickets, 1)
})

t.test('an empty body is as good as an empty object, and any other is refused', async (t) => {
  const app = await buildEchoApp(t)
  t.equal((await requestTicket(app, '/echo')).statusCode, 201, 'no body')
  t.equal((await requestTicket(app, '/echo', { body: '' })).statusCode, 201, 'a body of no bytes')
  for (const body of ['{"a":1}', '{"refresh":7}', '{"refresh":""}', '[]', 'null', '"x"']) {
    const response = await requestTicket(app, '/echo', { body })
    t.match(response.json(), { statusCode: 400, code: 'FST_WS_TICKET_INVALID_TICKET_REQUEST' }, body)
  }
  t.equal((await requestTicket(app, '/echo', { body: '{}' })).statusCode, 201, 'an empty object')
  t.equal((await requestTicket(app, '/echo', { headers: { 'content-type': 'Application/JSON; charset=utf-8' } })).statusCode, 201)
})

t.test('A1 no, garbage and oversized JWTs get one and the same 401', async (t) => {
  const app = await buildEchoApp(t)
  const authorizations = [undefined, '', 'Bearer', 'Bearer garbage', 'Bearer a.b.c', 'Basic YTpi', `Bearer ${'x'.repeat(8000)}`]
  const answers = []
  for (const authorization of authorizations) {
    const response = await requestTicket(app, '/echo', { headers: { authorization } })
    refusedWith(t, response, 401, 'UNAUTHENTICATED', app)
    t.equal(response.headers['www-authenticate'], 'Bearer')
    answers.push(response.body)
  }
  t.equal(new Set(answers).size, 1)
})

t.test('A2 only POST issues a ticket', async (t) => {
  const app = await buildEchoApp(t)
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE'] as const) {
    const response = await app.inject({ method, url: '/echo/ticket', headers: { ...bearer(app), origin: ORIGIN } })
    t.equal(response.statusCode, 404, method)
  }
  t.equal(app.wsTicket.stats().tickets, 0)
})

t.test('A3 a form, a text and a body of no type are refused', async (t) => {
  const app = await buildEchoApp(t)
  const types = [
    undefined,
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonp',
    'text/plain; application/json'
  ]
  for (const type of types) {
    const response = await requestTicket(app, '/echo', { headers: { 'content-type': type }, body: '{}' })
    refusedWith(t, response, 415, 'UNSUPPORTED_MEDIA_TYPE', app)
  }
})

t.test('A4 a request from a foreign origin is refused and gets no CORS headers', async (t) => {
  const app = await buildEchoApp(t)
  for (const origin of ['https://evil.example', 'null', undefined, `${ORIGIN}.evil.example`, `${ORIGIN}, https://evil.example`]) {
    const response = await requestTicket(app, '/echo', { headers: { origin } })
    refusedWith(t, response, 403, origin === undefined ? 'ORIGIN_MISSING' : 'ORIGIN_REFUSED', app)
    t.same(
      Object.keys(response.headers).filter((name) => name.startsWith('access-control')),
      []
    )
  }
})

t.test('A5 A7 tokens that HS256 and its secret do not vouch for are refused', async (t) => {
  const app = await buildEchoApp(t)
  const user = { sub: 'ann' }
  const cases: Record<string, string> = {
    'alg none': unsigned(user, 'none'),
    'alg None': unsigned(user, 'None'),
    'alg NONE': unsigned(user, 'NONE'),
    'alg none with a signature': handSigned(user, { alg: 'none' }),
    'no alg': handSigned(user, { typ: 'JWT' }),
    'alg an array': handSigned(user, { alg: ['HS256'] }),
    'another secret': handSigned(user, undefined, 'some other secret that is as long as it has to be'),
    expired: handSigned({ ...user, exp: nowSeconds() - 1 }),
    'not valid yet': handSigned({ ...user, nbf: nowSeconds() + 3600 }),
    'exp a text': handSigned({ ...user, exp: String(nowSeconds() + 3600) }),
    'exp 1e400': handSigned('{"sub":"ann","exp":1e400}'),
    'exp null': handSigned('{"sub":"ann","exp":null}'),
    'exp an object': handSigned({ ...user, exp: {} }),
    'exp far in the past': handSigned({ ...user, exp: -1e300 }),
    'the payload an array': handSigned('[{"sub":"ann"}]'),
    'the payload a text': handSigned('"ann"'),
    'the payload null': handSigned('null'),
    'the payload no JSON': handSigned('{'),
    'no user': handSigned({ name: 'ann' }),
    'sub empty': handSigned({ sub: '' }),
    'sub an object': handSigned({ sub: { toString: 'ann' } }),
    'sub an array': handSigned({ sub: ['ann'] }),
    'sub true': handSigned({ sub: true })
  }
  for (const [name, token] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const response = await requestTicket(app, '/echo', withToken(token))
      refusedWith(t, response, 401, 'UNAUTHENTICATED', app)
      t.equal(response.headers['www-authenticate'], 'Bearer')
    })
  }
})

t.test('A7 a token without exp is good, and so is a number for a user', async (t) => {
  const app = await buildEchoApp(t)
  const response = await requestTicket(app, '/echo', withToken(handSigned({ sub: 'ann' })))
  t.match(response.json(), { expiresIn: 30 })
  t.equal((await requestTicket(app, '/echo', withToken(handSigned({ sub: 42 })))).statusCode, 201)
})

t.test('with RS256', async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' }
  })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyJwt, {
    secret: { private: privateKey, public: publicKey },
    sign: { algorithm: 'RS256' },
    verify: { algorithms: ['RS256'], allowedIss: 'https://issuer.example', allowedAud: 'chat', requiredClaims: ['iss', 'aud'] }
  })
  await app.register(wsTicket, { allowedOrigins: [ORIGIN] })
  app.wsRoute('/echo', echo)
  const good = { sub: 'ann', iss: 'https://issuer.example', aud: 'chat' }

  await t.test('a good token is exchanged', async (t) => {
    t.equal((await requestTicket(app, '/echo', withToken(app.jwt.sign(good)))).statusCode, 201)
  })
  await t.test('A5 A6 A7 keys, algorithms and claims of somebody else are refused', async (t) => {
    const header = { typ: 'JWT', alg: 'HS256' }
    const cases: Record<string, string> = {
      'HS256 signed with the public key': handSigned(good, header, publicKey),
      'HS256 signed with the trimmed public key': handSigned(good, header, publicKey.trim()),
      'alg none': unsigned(good, 'none'),
      'a kid that climbs': handSigned(good, { ...header, kid: '../../../dev/null' }, ''),
      'a kid of the prototype': handSigned(good, { ...header, kid: '__proto__' }, ''),
      'a key of its own': handSigned(good, { ...header, jwk: { kty: 'oct', k: 'AA' } }, '\u0000'),
      'a key elsewhere': handSigned(good, { ...header, jku: 'http://127.0.0.1:1/keys', x5u: 'http://127.0.0.1:1/cert' }, ''),
      'an unknown crit': handSigned(good, { ...header, alg: 'RS256', crit: ['unknown'], unknown: 1 }),
      'another issuer': app.jwt.sign({ ...good, iss: 'https://evil.example' }),
      'another audience': app.jwt.sign({ ...good, aud: 'shop' }),
      'no issuer': app.jwt.sign({ sub: 'ann', aud: 'chat' })
    }
    for (const [name, token] of Object.entries(cases)) {
      await t.test(name, async (t) => {
        refusedWith(t, await requestTicket(app, '/echo', withToken(token)), 401, 'UNAUTHENTICATED', app, 1)
      })
    }
  })
})

t.test('A9 one user who asks too often is told to wait', async (t) => {
  const app = await buildEchoApp(t, { plugin: { issuePerUser: { max: 2, timeWindow: 60_000 } } })
  await issueTicket(app, '/echo')
  await issueTicket(app, '/echo', { remoteAddress: '127.0.0.2' })
  const response = await requestTicket(app, '/echo', { remoteAddress: '127.0.0.3' })
  refusedWith(t, response, 429, 'TOO_MANY_REQUESTS', app, 2)
  t.ok(Number(response.headers['retry-after']) >= 1 && Number(response.headers['retry-after']) <= 60)
  t.equal((await requestTicket(app, '/echo', { claims: { sub: 'bob' } })).statusCode, 201, 'another user is not in its way')
})

t.test('A9 one address that asks too often is told to wait, whoever it says it is', async (t) => {
  const app = await buildEchoApp(t, { plugin: { issuePerIp: { max: 2, timeWindow: 60_000 } } })
  await requestTicket(app, '/echo', { headers: { authorization: 'Bearer garbage' } })
  await issueTicket(app, '/echo', { claims: { sub: 'bob' } })
  const response = await requestTicket(app, '/echo')
  refusedWith(t, response, 429, 'TOO_MANY_REQUESTS', app, 1)
  t.ok(Number(response.headers['retry-after']) >= 1 && Number(response.headers['retry-after']) <= 60)
  t.equal((await requestTicket(app, '/echo', { remoteAddress: '127.0.0.2' })).statusCode, 201, 'another address is not in its way')
})

t.test('A9 a user has no more unused tickets than allowed', async (t) => {
  const { app, clock } = await buildTimedApp(t, { plugin: { maxTicketsPerUser: 2 } })
  app.wsRoute('/echo', echo)
  await issueTicket(app, '/echo', as({ sub: 'ann' }))
  clock.advance(12_500)
  await issueTicket(app, '/echo', as({ sub: 'ann' }))
  const response = await requestTicket(app, '/echo', as({ sub: 'ann' }))
  refusedWith(t, response, 429, 'TOO_MANY_TICKETS', app, 2)
  t.equal(response.headers['retry-after'], '18', 'until the first of them expires')
  clock.advance(17_500)
  t.equal((await requestTicket(app, '/echo', as({ sub: 'ann' }))).statusCode, 201)
})

t.test('A10 a body that is too large, too deep, or of another form is refused', async (t) => {
  const app = await buildEchoApp(t)
  const bodies: [string, string, number][] = [
    ['2 MB', JSON.stringify({ refresh: 'x'.repeat(2_000_000) }), 413],
    ['nested deep', `${'['.repeat(2000)}${']'.repeat(2000)}`, 400],
    ['an array', '[]', 400],
    ['null', 'null', 400],
    ['no JSON', '{', 400],
    ['a key that reaches the prototype', '{"__proto__":{"refresh":"x"}}', 400],
    ['refresh a number', '{"refresh":{}}', 400],
    ['refresh too long', JSON.stringify({ refresh: 'x'.repeat(65) }), 400]
  ]
  for (const [name, body, statusCode] of bodies) {
    const response = await requestTicket(app, '/echo', { body })
    t.equal(response.statusCode, statusCode, `${name}: ${response.body}`)
    t.match(response.json(), { statusCode, error: String, message: String })
  }
  t.equal(app.wsTicket.stats().tickets, 0)
})

t.test('A11 a ticket never outlives its JWT', async (t) => {
  const { app, clock } = await buildTimedApp(t)
  app.wsRoute('/echo', echo)
  const claims = { sub: 'ann', exp: expiresIn(clock, 12_700) }
  const response = await requestTicket(app, '/echo', as(claims))
  t.match(response.json(), { expiresIn: 12 })
  clock.advance(12_700)
  const late = await requestTicket(app, '/echo', as(claims))
  t.equal(late.statusCode, 401)
  const ticket = response.json().ticket
  await t.rejects(
    app.injectWS('/echo', {
      headers: { host: 'localhost', origin: ORIGIN, 'sec-websocket-protocol': `fastify-ws-ticket.v1, ticket.${ticket}` }
    }),
    { message: 'Unexpected server response: 401' }
  )
})

t.test('A11 a JWT that ends while authorize is at work gets no ticket', async (t) => {
  const { app, clock } = await buildTimedApp(t)
  app.wsRoute('/echo', { ...echo, authorize: () => clock.advance(4000) })
  refusedWith(t, await requestTicket(app, '/echo', as({ sub: 'ann', exp: expiresIn(clock, 4000) })), 401, 'UNAUTHENTICATED', app)
})

t.test('C12 a ticket is no bearer token', async (t) => {
  const app = await buildEchoApp(t)
  const ticket = await issueTicket(app, '/echo')
  refusedWith(t, await requestTicket(app, '/echo', withToken(ticket)), 401, 'UNAUTHENTICATED', app, 1)
})

t.test('E6 409 tells a user at the cap to close a connection, and refreshing one is the way out', async (t) => {
  const app = await buildEchoApp(t, { plugin: { maxConnectionsPerUser: 1 } })
  const client = await connectInjected(app, '/echo')
  const welcome = await client.next()
  const refused = await requestTicket(app, '/echo')
  refusedWith(t, refused, 409, 'USER_CONNECTED', app, 1)
  t.equal(refused.headers['retry-after'], '5')
  t.equal((await requestTicket(app, '/echo', { claims: { sub: 'bob' } })).statusCode, 201, 'another user has room')
  const { connection } = Object(welcome.payload)
  const refresh = await requestTicket(app, '/echo', { body: { refresh: connection } })
  t.equal(refresh.statusCode, 201)
  t.match(await client.request('$refresh', { ticket: refresh.json().ticket }), { type: '$reply', payload: { expiresAt: Number } })
})

t.test('E6 429 tells an address, 503 everybody that there is no room', async (t) => {
  const app = await buildApp(t, { plugin: { maxConnections: 2, maxConnectionsPerIp: 1 } })
  app.wsRoute('/echo', echo)
  await connectInjected(app, '/echo')
  const perIp = await requestTicket(app, '/echo', { claims: { sub: 'bob' } })
  refusedWith(t, perIp, 429, 'IP_CONNECTED', app, 1)
  t.equal(perIp.headers['retry-after'], '5')
  t.equal((await requestTicket(app, '/echo', { remoteAddress: '127.0.0.2' })).statusCode, 201)

  const full = await buildEchoApp(t, { plugin: { maxConnections: 1 } })
  await connectInjected(full, '/echo')
  const total = await requestTicket(full, '/echo', { claims: { sub: 'bob' }, remoteAddress: '127.0.0.2' })
  refusedWith(t, total, 503, 'SERVER_FULL', full, 1)
  t.equal(total.headers['retry-after'], '5')
})

t.test('E6 whoever finds no room costs the app nothing: authorize is not asked', async (t) => {
  const caps: [Partial<WsTicketOptions>, TicketRequest, number][] = [
    [{ maxConnectionsPerUser: 1 }, {}, 409],
    [{ maxConnectionsPerIp: 1 }, { claims: { sub: 'bob' } }, 429],
    [{ maxConnections: 1 }, { claims: { sub: 'bob' }, remoteAddress: '127.0.0.2' }, 503]
  ]
  for (const [plugin, request, statusCode] of caps) {
    const app = await buildApp(t, { plugin })
    let asked = 0
    app.wsRoute('/echo', { ...echo, authorize: () => void asked++ })
    const welcome = await (await connectInjected(app, '/echo')).next()
    t.equal(asked, 1)
    t.equal((await requestTicket(app, '/echo', request)).statusCode, statusCode)
    t.equal(asked, 1, `${statusCode}: not asked`)
    const { connection } = Object(welcome.payload)
    t.equal((await requestTicket(app, '/echo', { body: { refresh: connection } })).statusCode, 201)
    t.equal(asked, 2, 'asked by a refresh, which needs no room')
  }
})

t.test('E2 a store that does not settle is answered by the deadline, and what it answers late is told to nobody', async (t) => {
  const { logger, lines } = captureLog()
  const clock = new ManualClock()
  const store = new MemoryTicketStore({ clock, maxTickets: 10, maxTicketsPerUser: 10 })
  const issue = store.issue.bind(store)
  let answer = () => {}
  Reflect.set(store, 'issue', async (...args: Parameters<typeof issue>) => {
    await new Promise<void>((resolve) => {
      answer = resolve
      // once the store has been asked, and has not answered
      setImmediate(() => clock.advance(5000))
    })
    return await issue(...args)
  })
  const { app } = await buildTimedApp(t, { server: { logger }, plugin: { clock, store } })
  app.wsRoute('/echo', echo)
  const response = await requestTicket(app, '/echo', as({ sub: 'ann' }, { body: '{}' }))
  refusedWith(t, response, 503, 'UNAVAILABLE', app)
  answer()
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(app.wsTicket.stats().tickets, 1, 'it was kept late')
  t.equal(lines.filter(({ level }) => level >= 40).length, 1, 'and the log has one line')
})

t.test('B3 503 tells that the store is full', async (t) => {
  const app = await buildEchoApp(t, { plugin: { maxTickets: 1 } })
  await issueTicket(app, '/echo', { claims: { sub: 'bob' } })
  const response = await requestTicket(app, '/echo')
  refusedWith(t, response, 503, 'STORE_FULL', app, 1)
  t.equal(response.headers['retry-after'], '1')
})

t.test('503 tells that the store fails, and nothing of why', async (t) => {
  const failing: TicketStore = {
    issue: () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7')),
    find: async () => ({ outcome: 'unknown' }),
    redeem: async () => ({ outcome: 'unknown' }),
    voidUser: async () => 0,
    size: () => 0,
    close: async () => {}
  }
  const log = captureLog()
  const app = await buildEchoApp(t, { server: { logger: log.logger }, plugin: { store: failing } })
  const response = await requestTicket(app, '/echo')
  refusedWith(t, response, 503, 'UNAVAILABLE', app)
  t.equal(response.headers['retry-after'], '1')
  t.notMatch(response.body, 'ECONNREFUSED')
  t.match(
    log.lines.find(({ msg }) => msg === 'the ticket store failed'),
    { level: 50, err: { message: 'connect ECONNREFUSED 10.0.0.7' } }
  )
})

t.test('B5 a store that answers what no store may issues nothing', async (t) => {
  const store = new MemoryTicketStore({ clock: new ManualClock(), maxTickets: 10, maxTicketsPerUser: 10 })
  const throws = () => {
    throw new Error('connect ECONNREFUSED 10.0.0.7')
  }
  for (const issue of [throws, () => undefined, async () => undefined, async () => ({}), async () => ({ outcome: 'full' })]) {
    Reflect.set(store, 'issue', issue)
    const app = await buildEchoApp(t, { plugin: { store } })
    const response = await requestTicket(app, '/echo')
    refusedWith(t, response, 503, 'UNAVAILABLE', app)
    t.notMatch(response.body, 'ECONNREFUSED')
  }
})

t.test('authorize decides', async (t) => {
  const app = await buildApp(t)
  const teapot = Object.assign(new Error('Only members may join.'), { statusCode: 403, code: 'NOT_A_MEMBER' })
  app.wsRoute('/false', { ...echo, authorize: () => false })
  app.wsRoute('/async-false', { ...echo, authorize: async () => false })
  app.wsRoute('/own', { ...echo, authorize: () => Promise.reject(teapot) })
  app.wsRoute('/sync', {
    ...echo,
    authorize: () => {
      throw teapot
    }
  })

  await t.test('false is 403', async (t) => {
    refusedWith(t, await requestTicket(app, '/false'), 403, 'FORBIDDEN', app)
    refusedWith(t, await requestTicket(app, '/async-false'), 403, 'FORBIDDEN', app)
  })
  await t.test('an error with a status is answered as it is', async (t) => {
    for (const path of ['/own', '/sync']) {
      const response = await requestTicket(app, path)
      t.equal(response.statusCode, 403)
      t.strictSame(response.json(), { statusCode: 403, code: 'NOT_A_MEMBER', error: 'Forbidden', message: 'Only members may join.' })
    }
    t.equal(app.wsTicket.stats().tickets, 0)
  })
})

const circle: { self?: object } = {}
circle.self = circle

const NOT_TO_BE_TOLD: Record<string, () => unknown> = {
  'an error': () => Promise.reject(new Error('inner text')),
  'an error that is thrown at once': () => {
    throw new Error('inner text')
  },
  'an error of a store, with a status': () => Promise.reject(Object.assign(new Error('inner text'), { statusCode: 503, code: 'INNER' })),
  'an error with a status that is none of an error': () => Promise.reject(Object.assign(new Error('inner text'), { statusCode: 200 })),
  'an error with a status that is no number': () => Promise.reject(Object.assign(new Error('inner text'), { statusCode: '403' })),
  'what is no error': () => Promise.reject({ statusCode: 403, message: 'inner text' }),
  'a text': () => Promise.reject('inner text'),
  nothing: () => Promise.reject(),
  'an error that is frozen': () => Promise.reject(Object.freeze(new Error('inner text'))),
  'what can not be read': () =>
    Promise.reject(
      new Proxy(new Error('inner text'), {
        get: () => {
          throw new Error('inner text')
        }
      })
    ),
  'a context that is no JSON': () => circle
}

t.test('what authorize fails with is in the log and not in the answer, be it for a connection or for a refresh', async (t) => {
  const { logger, lines } = captureLog()
  const app = await buildApp(t, { server: { logger } })
  app.wsRoute('/:what', { ...echo, authorize: ({ params }) => NOT_TO_BE_TOLD[params.what]?.() })
  for (const name of Object.keys(NOT_TO_BE_TOLD)) {
    for (const body of ['{}', '{"refresh":"8c5b4a62-5d5f-4d3c-9a3e-2f1f0f0d9a11"}']) {
      const before = lines.length
      const response = await requestTicket(app, `/${encodeURIComponent(name)}`, { body })
      t.equal(response.statusCode, 500, name)
      t.strictSame(response.json(), {
        statusCode: 500,
        code: 'FST_WS_TICKET_AUTHORIZE_FAILED',
        error: 'Internal Server Error',
        message: 'The server failed to find out whether you may open this connection.'
      })
      const [line] = lines.slice(before).filter(({ msg }) => /^authorize failed$|is no JSON$/.test(String(msg)))
      t.equal(line?.level, 50, `${name} is logged`)
      if (/no JSON|nothing|can not be read/.test(name)) continue
      t.match(JSON.stringify(line), /inner text/, `${name} is logged as it is`)
    }
  }
  t.equal(app.wsTicket.stats().tickets, 0)
})

t.test('an error of this package that says to try later is told, as one of disconnect is', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/echo', { ...echo, authorize: () => Promise.reject(fail('UNAVAILABLE', [], { retryAfterMs: 3000 })) })
  const response = await requestTicket(app, '/echo')
  t.match(response.json(), { statusCode: 503, code: 'FST_WS_TICKET_UNAVAILABLE' })
  t.equal(response.headers['retry-after'], '3')
})

t.test('an error handler of the app may answer in a form of its own', async (t) => {
  const app = await buildApp(t)
  const form = (status: number) => ({ error: { code: 'E1', list: [1] }, statusCode: String(status), message: null })
  app.setErrorHandler((error, _request, reply) => reply.code(Object(error).statusCode).send(form(Object(error).statusCode)))
  app.wsRoute('/echo', echo)
  app.wsRoute('/broken', { ...echo, authorize: () => Promise.reject(new Error('no such column')) })
  const [refused, broken] = [await requestTicket(app, '/echo', { headers: { authorization: 'x' } }), await requestTicket(app, '/broken')]
  t.strictSame({ status: refused.statusCode, body: refused.json() }, { status: 401, body: form(401) })
  t.strictSame({ status: broken.statusCode, body: broken.json() }, { status: 500, body: form(500) })
})

t.test('claims that userId fails with name nobody, and what it threw is in the log only', async (t) => {
  const { logger, lines } = captureLog()
  const app = await buildEchoApp(t, { server: { logger }, plugin: { userId: ({ tenant }) => Object(tenant).id.trim() } })
  const response = await requestTicket(app, '/echo')
  refusedWith(t, response, 401, 'UNAUTHENTICATED', app)
  t.notMatch(response.body, /trim|undefined/)
  t.match(
    lines.find(({ msg }) => msg === 'userId failed'),
    { level: 50, err: { message: /trim/ } }
  )
  t.equal((await requestTicket(app, '/echo', { claims: { tenant: { id: 'blue' } } })).statusCode, 201)
})

t.test('what authorize throws reaches the error handler of the app, as the cause of what it may tell', async (t) => {
  const app = await buildApp(t)
  const broken = new Error('no such column')
  app.setErrorHandler((error, _request, reply) => reply.code(Object(error).cause === broken ? 418 : 500).send({ told: 'nothing' }))
  app.wsRoute('/broken', { ...echo, authorize: () => Promise.reject(broken) })
  const response = await requestTicket(app, '/broken')
  t.equal(response.statusCode, 418)
  t.strictSame(response.json(), { told: 'nothing' })
})

t.test('authorize sees the verified user and the parameters; what it returns becomes the context', async (t) => {
  const app = await buildApp(t)
  const seen: unknown[] = []
  app.wsRoute('/rooms/:room', {
    ...echo,
    authorize: async (request) => {
      seen.push(Reflect.get(request, 'user'), request.params.room)
      return { role: 'member', since: new Date(0), secret: undefined }
    }
  })
  await connectInjected(app, '/rooms/1', { claims: { sub: 'ann', iat: 1 } })
  t.same(seen, [{ sub: 'ann', iat: 1 }, '1'])
  t.strictSame(app.wsTicket.connections()[0]?.context, { role: 'member', since: '1970-01-01T00:00:00.000Z' })
})

t.test('authorize that returns nothing gives the context null', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/echo', { ...echo, authorize: () => {} })
  await connectInjected(app, '/echo')
  t.equal(app.wsTicket.connections()[0]?.context, null)
})

t.test('an app may authenticate in its own way', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(wsTicket, {
    allowedOrigins: [ORIGIN],
    authenticate: async (request) => {
      const key = request.headers['x-key']
      if (key === 'none') return null
      if (key === 'decorated') return void Reflect.set(request, 'user', { sub: 'decorated' })
      if (key === 'known') return { id: 7 }
      if (key === 'text') throw 'a text'
      throw Object.assign(new Error('told'), { statusCode: Number(key), code: 'MINE' })
    },
    userId: ({ id, sub }) => (id === undefined ? String(sub ?? '') : `id ${id}`)
  })
  app.wsRoute('/echo', echo)
  const ask = (key: string) =>
    app.inject({ method: 'POST', url: '/echo/ticket', headers: { origin: ORIGIN, 'content-type': 'application/json', 'x-key': key } })

  t.equal((await ask('known')).statusCode, 201)
  t.equal((await ask('decorated')).statusCode, 201, 'with claims that it puts on the request')
  for (const key of ['none', 'text', '400', '401', '404']) refusedWith(t, await ask(key), 401, 'UNAUTHENTICATED', app, 2)
  for (const statusCode of [403, 429, 500, 503]) {
    const response = await ask(String(statusCode))
    t.equal(response.statusCode, statusCode)
    t.match(response.json(), { code: 'MINE', message: 'told' })
  }
  t.equal(app.wsTicket.stats().tickets, 2)
})

t.test('without @fastify/jwt and without authenticate the app does not start', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(wsTicket, { allowedOrigins: [ORIGIN] })
  app.wsRoute('/echo', echo)
  await t.rejects(async () => void (await app.ready()), { code: 'FST_WS_TICKET_MISSING_AUTHENTICATION' })
})

t.test('@fastify/jwt may be registered after the plugin, or only where the routes are', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(wsTicket, { allowedOrigins: [ORIGIN] })
  await app.register(async (scope) => {
    scope.wsRoute('/echo', echo)
    await scope.register(fastifyJwt, { secret: JWT_SECRET })
  })
  await app.ready()
  const response = await app.inject({
    method: 'POST',
    url: '/echo/ticket',
    headers: { origin: ORIGIN, 'content-type': 'application/json', authorization: `Bearer ${handSigned({ sub: 'ann' })}` }
  })
  t.equal(response.statusCode, 201)
})

t.test('with a namespace of @fastify/jwt there is no jwtVerify, and authenticate has to say so', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyJwt, { secret: JWT_SECRET, namespace: 'chat', jwtVerify: 'chatVerify', jwtSign: 'chatSign' })
  await app.register(wsTicket, { allowedOrigins: [ORIGIN] })
  app.wsRoute('/echo', echo)
  await t.rejects(async () => void (await app.ready()), { code: 'FST_WS_TICKET_MISSING_AUTHENTICATION' })

  const other = Fastify()
  t.teardown(() => other.close())
  await other.register(fastifyJwt, { secret: JWT_SECRET, namespace: 'chat', jwtVerify: 'chatVerify', jwtSign: 'chatSign' })
  await other.register(wsTicket, {
    allowedOrigins: [ORIGIN],
    authenticate: (request) => Reflect.apply(Reflect.get(request, 'chatVerify'), request, [])
  })
  other.wsRoute('/echo', echo)
  const ask = (token: string) =>
    other.inject({
      method: 'POST',
      url: '/echo/ticket',
      headers: { origin: ORIGIN, 'content-type': 'application/json', authorization: `Bearer ${token}` }
    })
  t.equal((await ask(handSigned({ sub: 'ann' }))).statusCode, 201)
  t.equal((await ask('garbage')).statusCode, 401)
})

t.test('the ticket route is in the OpenAPI document, the upgrade is not', async (t) => {
  const externalDocs = { url: 'https://api.example.com/asyncapi.json' }
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifySwagger, {
    openapi: {
      info: { title: 'Test', version: '1' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }
    }
  })
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  await app.register(wsTicket, { allowedOrigins: [ORIGIN] })
  await app.register(
    async (scope) => {
      scope.wsRoute('/rooms/:room', {
        ...echo,
        schema: { tags: ['chat'], summary: 'Tickets of a room', security: [{ bearer: [] }], externalDocs }
      })
    },
    { prefix: '/v1' }
  )
  await app.ready()
  const { paths } = app.swagger()
  t.same(Object.keys(Object(paths)), ['/v1/rooms/{room}/ticket'])
  const operation = Object(paths)['/v1/rooms/{room}/ticket'].post
  t.match(operation, { tags: ['chat'], summary: 'Tickets of a room', security: [{ bearer: [] }], externalDocs })
  t.same(Object.keys(operation.responses), ['201', '400', '401', '403', '409', '413', '415', '429', '500', '503'])
  for (const [status, code, ...headers] of [
    ['201', 'A ticket', 'Cache-Control'],
    ['400', 'INVALID_TICKET_REQUEST'],
    ['401', 'UNAUTHENTICATED', 'WWW-Authenticate'],
    ['403', 'FORBIDDEN'],
    ['409', 'USER_CONNECTED', 'Retry-After'],
    ['413', 'too large'],
    ['415', 'UNSUPPORTED_MEDIA_TYPE'],
    ['429', 'TOO_MANY_TICKETS', 'Retry-After'],
    ['500', 'AUTHORIZE_FAILED'],
    ['503', 'STORE_FULL', 'Retry-After']
  ] as const) {
    const { description, headers: told } = operation.responses[status]
    t.match(description, code, status)
    t.same(Object.keys(told ?? {}), headers, status)
  }
  const created = operation.responses['201'].content['application/json'].schema
  t.same(Object.keys(created.properties), ['ticket', 'expiresIn', 'protocols'])
  t.same(created.required, ['ticket', 'expiresIn', 'protocols'])
  const protocol = await readFile(new URL('../../docs/protocol.md', import.meta.url), 'utf8')
  const [, ticketPart = ''] = protocol.split(/^## /m)
  const documented = [...ticketPart.matchAll(/^\| (\d{3}) \|/gm)].map(([, status]) => status)
  t.same(documented, Object.keys(operation.responses), 'as the document on the protocol says')
  t.equal(operation.requestBody.required, true, 'as @fastify/swagger says of every body; so it is said in words')
  const body = operation.requestBody.content['application/json'].schema
  t.match(body.description, /^May be left out/)
  t.match(body, { type: 'object', properties: { refresh: { type: 'string', maxLength: 64 } }, additionalProperties: false })
})

t.test('C13 C15 a ticket is bound to the Origin, or to there being none, and on request to the address', async (t) => {
  const store = new MemoryTicketStore({ clock: new ManualClock(), maxTickets: 10, maxTicketsPerUser: 10 })
  const app = await buildEchoApp(t, { plugin: { store, bindTicketToIp: true, allowMissingOrigin: true } })
  const without = await issueTicket(app, '/echo', { headers: { origin: undefined }, remoteAddress: '127.0.0.9' })
  t.match(await store.find(hashTicket(without)), { outcome: 'live', record: { origin: null, ip: '127.0.0.9' } })
  const withOne = await issueTicket(app, '/echo', { remoteAddress: '::1' })
  t.match(await store.find(hashTicket(withOne)), { outcome: 'live', record: { origin: ORIGIN, ip: '::' } })
})

t.test('nobody is the caller of a request that was not checked', async (t) => {
  const app = await buildEchoApp(t)
  app.get('/me', (request) => callerOf(request))
  t.match(await app.inject('/me'), { statusCode: 401 })
})

t.test('authorize admits with what it returns or with nothing, and refuses with any empty value', async (t) => {
  for (const [returned, statusCode] of [
    [undefined, 201],
    [{}, 201],
    [true, 201],
    [false, 403],
    [null, 403],
    [0, 403],
    ['', 403]
  ] as const) {
    const app = await buildApp(t)
    app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, authorize: async () => returned })
    t.equal((await requestTicket(app, '/echo')).statusCode, statusCode, JSON.stringify(returned))
  }
})

t.test('G9 a user who is disconnected while authorize is at work gets no ticket', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/echo', {
    contract: echoContract,
    handlers: echoHandlers,
    async authorize() {
      await app.wsTicket.disconnect({ user: 'ann' })
    }
  })
  t.equal((await requestTicket(app, '/echo')).statusCode, 403)
  t.equal((await requestTicket(app, '/echo', { claims: { sub: 'bob' } })).statusCode, 201, 'others are not concerned')
})
