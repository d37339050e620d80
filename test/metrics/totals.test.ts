import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { TicketStore } from '../../src/index.js'
import { FAMILIES } from '../../src/metrics/families.js'
import { buildEchoApp, echoContract, echoHandlers, ORIGIN } from '../fixtures/app.js'
import { type Client, connect, listen } from '../fixtures/client.js'
import { captureLog } from '../fixtures/log.js'
import { connectRaw, requestBytes } from '../fixtures/raw-socket.js'
import { issueTicket, requestTicket } from '../fixtures/tickets.js'
import { as, buildTimedApp } from '../fixtures/timed-app.js'
import { until } from '../fixtures/until.js'
import { handshakeBytes, refusedUpgrade, untilStats } from '../fixtures/upgrade.js'

const CHANNELS = ['ticket', 'redemption', 'expiry', 'handshake', 'message', 'close']

/** What is told on the channels about an app, until the test ends. */
function listenTo(t: Test, app: FastifyInstance): object[] {
  const told: object[] = []
  for (const name of CHANNELS) {
    const onEvent = (event: unknown) => {
      const { source, ...rest } = Object(event)
      if (source === app.wsTicket || source === undefined) told.push({ channel: name, ...rest })
    }
    subscribe(`fastify-ws-ticket:${name}`, onEvent)
    t.teardown(() => unsubscribe(`fastify-ws-ticket:${name}`, onEvent))
  }
  return told
}

const routeOf = (app: FastifyInstance, path = '/echo') => {
  const totals = app.wsTicket.stats().totals.routes[path]
  if (!totals) throw new Error('the route has no totals')
  return totals
}

t.test('requests for a ticket are counted by what became of them, however the app answers errors', async (t) => {
  const app = await buildEchoApp(t, { plugin: { maxTicketsPerUser: 1 } })
  app.setErrorHandler((_error, _request, reply) => reply.code(418).send('hidden'))
  app.wsRoute('/mine', {
    contract: echoContract,
    handlers: echoHandlers,
    authorize: () => Promise.reject(Object.assign(new Error('no'), { statusCode: 402, code: 'UNBOUNDED_1' }))
  })
  const told = listenTo(t, app)
  await issueTicket(app, '/echo')
  await requestTicket(app, '/echo')
  await requestTicket(app, '/echo', { headers: { authorization: 'Bearer nonsense' } })
  await requestTicket(app, '/echo', { body: { nonsense: true } })
  await requestTicket(app, '/mine')
  t.strictSame(routeOf(app).tickets, {
    issued: 1,
    FST_WS_TICKET_TOO_MANY_TICKETS: 1,
    FST_WS_TICKET_UNAUTHENTICATED: 1,
    FST_WS_TICKET_INVALID_TICKET_REQUEST: 1
  })
  t.strictSame(routeOf(app, '/mine').tickets, { HTTP_402: 1 })
  t.strictSame(told[0], { channel: 'ticket', route: '/echo', outcome: 'issued' })
  t.strictSame(told.at(-1), { channel: 'ticket', route: '/mine', outcome: 'HTTP_402' })
  t.equal(told.length, 5)
})

t.test('a ticket that is presented is redeemed, replayed or refused; an upgrade is opened, refused or abandoned', async (t) => {
  const app = await buildEchoApp(t)
  let entered = () => {}
  const isInHook = new Promise<void>((resolve) => {
    entered = resolve
  })
  app.wsRoute('/slow', {
    contract: echoContract,
    handlers: echoHandlers,
    onRequest: (request) => {
      if (!request.isTicketUpgrade) return Promise.resolve()
      entered()
      return new Promise(() => {})
    }
  })
  const told = listenTo(t, app)
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  const client = await connect(t, app, '/echo')
  await client.next()
  t.equal((await refusedUpgrade(t, port, '/echo', 'A'.repeat(43))).status, 401)
  t.equal((await refusedUpgrade(t, port, '/echo', ticket, { Origin: 'https://evil.example' })).status, 403)
  t.equal((await refusedUpgrade(t, port, '/echo', ticket, {}, 'POST /echo HTTP/1.1')).status, 400)
  t.strictSame(routeOf(app).redemptions, { redeemed: 1, refused: 1 })
  t.strictSame(routeOf(app).handshakes, { opened: 1, FST_WS_TICKET_INVALID_TICKET: 1, FST_WS_TICKET_ORIGIN_REFUSED: 1 })
  t.strictSame(app.wsTicket.stats().totals.handshakes, { FST_WS_TICKET_BAD_HANDSHAKE: 1 })

  const leaving = await connectRaw(t, port)
  leaving.write(handshakeBytes('/slow', await issueTicket(app, '/slow')))
  await isInHook
  leaving.socket.destroy()
  await untilStats(app, { connections: 1, users: 1, ips: 1 })
  t.strictSame(app.wsTicket.stats().totals.handshakes, { FST_WS_TICKET_BAD_HANDSHAKE: 1, abandoned: 1 })
  t.strictSame(routeOf(app, '/slow').handshakes, {})
  t.match(told, [{ channel: 'ticket' }])
  t.ok(told.some((event) => 'outcome' in event && event.outcome === 'abandoned' && 'route' in event && event.route === undefined))

  client.socket.close(1000)
  await untilStats(app)
  t.strictSame(routeOf(app).closes, { 1000: 1 })
  const { bytes } = routeOf(app)
  t.strictSame(told.at(-1), { channel: 'close', route: '/echo', code: 1000, by: 'client', bytes })
  const { received, sent } = bytes
  t.ok(received > 100 && sent > 100, `${received} and ${sent}, the handshake included`)
})

t.test('C2 a replay is counted as one, and a ticket that refreshes a session as redeemed', async (t) => {
  const app = await buildEchoApp(t)
  const port = await listen(app)
  const client = await connect(t, app, '/echo')
  const { payload } = await client.next()
  const ticket = await issueTicket(app, '/echo', { body: { refresh: Object(payload).connection } })
  t.equal((await client.request('$refresh', { ticket })).type, '$reply')
  t.equal((await client.request('$refresh', { ticket })).type, '$error')
  t.equal((await refusedUpgrade(t, port, '/echo', ticket)).status, 401)
  t.strictSame(routeOf(app).redemptions, { redeemed: 2, replayed: 2 })
  const { outcomes, handling } = routeOf(app).messages.$refresh ?? {}
  t.strictSame(outcomes, { ok: 1, FST_WS_TICKET_INVALID_TICKET: 1 })
  t.equal(handling?.count, 2)
})

t.test('messages are counted by type and outcome, with the time of their handlers; what a client makes up is one type', async (t) => {
  const { app, clock } = await buildTimedApp(t, { plugin: { handlerTimeout: 1000 } })
  const finish: (() => void)[] = []
  app.wsRoute('/echo', {
    contract: echoContract,
    badMessages: { max: 4, timeWindow: '1 minute' },
    handlers: {
      echo: ({ text }) => {
        if (text === 'refused') throw Object.assign(new Error('no'), { statusCode: 409, code: 'ROOM_4711_FULL' })
        if (text === 'broken') throw new Error('a bug')
        if (text === 'lies') return Object({ text: 7 })
        clock.advance(3)
        return { text }
      },
      note: { handler: () => new Promise<void>((resolve) => finish.push(resolve)), rateLimit: { max: 1, timeWindow: '1 minute' } }
    }
  })
  const told = listenTo(t, app)
  await listen(app)
  const client = await connect(t, app, '/echo', as({ sub: 'ann' }))
  await client.next()
  for (const text of ['fine', 'refused', 'broken', 'lies']) await client.request('echo', { text })
  t.equal((await client.request('$ping', undefined)).type, '$reply')
  client.send({ type: 'note', id: 2, payload: { text: 'slow' } })
  t.match(await client.request('note', { text: 'too many' }, 3), { id: 3, payload: { code: 'FST_WS_TICKET_RATE_LIMITED' } })
  clock.advance(1250)
  t.match(await client.next(), { id: 2, payload: { code: 'FST_WS_TICKET_HANDLER_TIMEOUT' } })
  for (const resolve of finish) resolve()
  client.send('{')
  await client.next()
  for (const type of ['made up', '__proto__']) await client.request(type, {})
  await client.request('echo', { text: 7 })
  client.send({ type: 'echo', payload: { text: 7 } })
  await client.closed

  const { messages } = routeOf(app)
  t.same(Object.keys(messages).sort(), ['$ping', '$refresh', '$unknown', 'echo', 'note'])
  t.strictSame(messages.echo?.outcomes, {
    ok: 1,
    HTTP_409: 1,
    FST_WS_TICKET_HANDLER_FAILED: 2,
    FST_WS_TICKET_INVALID_PAYLOAD: 2
  })
  t.match(messages.echo?.handling, { count: 4, sum: 0.003 })
  t.strictSame(messages.note?.outcomes, { FST_WS_TICKET_RATE_LIMITED: 1, FST_WS_TICKET_HANDLER_TIMEOUT: 1 })
  t.strictSame(messages.$unknown?.outcomes, { FST_WS_TICKET_INVALID_JSON: 1, FST_WS_TICKET_UNKNOWN_TYPE: 2 })
  t.strictSame(messages.$ping?.outcomes, { ok: 1 })
  await until(() => routeOf(app).closes[4400] === 1)
  const ofMessages = told.filter((event) => 'channel' in event && event.channel === 'message')
  t.strictSame(ofMessages[0], { channel: 'message', route: '/echo', type: 'echo', outcome: 'ok', handlerMs: 3 })
  t.equal(ofMessages.length, 12)
})

t.test('each limit that is hit is counted by its own code, for tickets and for upgrades', async (t) => {
  const rate = (max: number) => ({ max, timeWindow: '1 hour' })
  const plugin = { issuePerUser: rate(3), upgradePerIp: rate(4), maxTicketsPerUser: 2, maxConnectionsPerUser: 1, maxConnectionsPerIp: 2 }
  const app = await buildEchoApp(t, { plugin })
  const told = listenTo(t, app)
  const port = await listen(app)
  const ticketOf = (sub: string) => issueTicket(app, '/echo', { claims: { sub } })
  const knock = async (ticket: string) => (await refusedUpgrade(t, port, '/echo', ticket)).status
  const [second, late] = [await ticketOf('ann'), await ticketOf('cid')]
  await connect(t, app, '/echo')
  t.equal(await knock(second), 429)
  await connect(t, app, '/echo', { claims: { sub: 'bob' } })
  t.equal(await knock(late), 429)
  t.equal(await knock(late), 429)
  for (const status of [409, 429]) t.equal((await requestTicket(app, '/echo', { remoteAddress: '::1' })).statusCode, status)
  const refused = { FST_WS_TICKET_TOO_MANY_REQUESTS: 1 }
  t.strictSame(routeOf(app).tickets, { issued: 4, FST_WS_TICKET_USER_CONNECTED: 1, ...refused })
  const handshakes = { opened: 2, FST_WS_TICKET_USER_CONNECTION_LIMIT: 1, FST_WS_TICKET_IP_CONNECTED: 1, ...refused }
  t.strictSame(routeOf(app).handshakes, handshakes)
  const ends = told.filter((event) => 'channel' in event && event.channel === 'handshake').map((event) => Object(event).outcome)
  const [userLimit, ipLimit, rateLimit] = Object.keys(handshakes).slice(1)
  t.same(ends, ['opened', userLimit, 'opened', ipLimit, rateLimit])
})

/** What a client may do that ends its connection. */
const ABUSES: Record<number, (client: Client, app: FastifyInstance) => unknown> = {
  1003: ({ socket }) => socket.send(Buffer.from('{}')),
  1009: (client) => client.send('x'.repeat(1001)),
  4400: (client) => ['{', '[', '"'].map((text) => client.send(text)),
  4409: async (client, app) => {
    const { payload } = await client.next()
    const ticket = await issueTicket(app, '/echo', { body: { refresh: Object(payload).connection } })
    for (const id of [1, 2]) client.send({ type: '$refresh', id, payload: { ticket } })
  },
  4429: (client) => [1, 2, 3, 4, 5].map(() => client.send({ type: 'note', payload: { text: 'x' } }))
}

t.test('what a client did that ends its connection is counted and logged by its close code', async (t) => {
  for (const [code, abuse] of Object.entries(ABUSES)) {
    const { logger, lines } = captureLog()
    const once = { max: 1, timeWindow: '1 minute' }
    const limits = { badMessages: once, limitViolations: once, rateLimit: { ...once, max: 3 } }
    const plugin = { ...limits, maxPayload: 1000, replay: 'disconnect' as const }
    const app = await buildEchoApp(t, { server: { logger }, plugin })
    const told = listenTo(t, app)
    await listen(app)
    const client = await connect(t, app, '/echo')
    await abuse(client, app)
    t.equal((await client.closed).code, Number(code))
    await untilStats(app)
    t.strictSame(routeOf(app).closes, { [code]: 1 })
    t.match(told.at(-1), { channel: 'close', code: Number(code), by: 'server' })
    t.match(
      lines.filter((line) => 'closeCode' in line),
      [{ level: 30, closeCode: Number(code), reason: /\w/, connection: /\w/, route: '/echo', user: 'ann' }]
    )
  }
})

t.test('close codes of the app or of a client’s making are one', async (t) => {
  const app = await buildEchoApp(t)
  await listen(app)
  for (const code of [4000, 3999, 1013, 4409, 4429]) {
    const client = await connect(t, app, '/echo')
    await client.next()
    client.socket.close(code)
    await client.closed
  }
  await untilStats(app)
  t.strictSame(routeOf(app).closes, { other: 5 })
})

t.test('tickets that expire unused are counted where the store knows; a store may not', async (t) => {
  const { app, clock } = await buildTimedApp(t)
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
  const told = listenTo(t, app)
  await listen(app)
  await issueTicket(app, '/echo', as({ sub: 'ann' }))
  const client = await connect(t, app, '/echo', as({ sub: 'bob' }))
  await client.next()
  clock.advance(60_000)
  t.equal(app.wsTicket.stats().totals.ticketsExpired, 1, 'the used one is not among them')
  const expired = told.filter((event) => 'channel' in event && event.channel === 'expiry')
  t.strictSame(expired, [{ channel: 'expiry', route: '/echo' }])

  const store: TicketStore = {
    issue: async () => ({ outcome: 'issued' }),
    find: async () => ({ outcome: 'unknown' }),
    redeem: async () => ({ outcome: 'unknown' }),
    voidUser: async () => 0,
    size: () => 0,
    close: async () => {}
  }
  const other = await buildEchoApp(t, { plugin: { store } })
  await other.ready()
  const stats = other.wsTicket.stats()
  t.equal(stats.totals.ticketsExpired, undefined)
  const family = FAMILIES.find(({ name }) => name === 'expired_tickets_total')
  t.same(family?.read(stats), [], 'nothing is shown of them')
  t.same(family?.read(app.wsTicket.stats()), [{ labels: {}, value: 1 }])
})

t.test('two apps in a process are told apart, by what their plugins count and by the source of events', async (t) => {
  const [one, two] = [await buildEchoApp(t), await buildEchoApp(t)]
  const told = listenTo(t, one)
  await two.ready()
  await issueTicket(two, '/echo')
  t.same(told, [])
  t.same(routeOf(one).tickets, {})
})

t.test('C14 a client that has left before its request was looked at has abandoned it, whatever it was refused for', async (t) => {
  const app = await buildEchoApp(t)
  await app.ready()
  const tickets = [await issueTicket(app, '/echo'), await issueTicket(app, '/echo')]
  const port = await listen(app)
  const leave = async (bytes: string) => {
    const { socket } = await connectRaw(t, port)
    await new Promise<void>((resolve) => socket.write(bytes, () => resolve()))
    // in the turn of the write: the server, in this process, looks at nothing before
    socket.resetAndDestroy()
  }
  for (const ticket of tickets) await leave(handshakeBytes('/echo', ticket))
  await leave(
    `${requestBytes('POST /echo/ticket HTTP/1.1', {
      Host: 'localhost',
      Origin: ORIGIN,
      'Content-Type': 'application/json',
      'Content-Length': '2'
    })}{}`
  )
  await until(() => {
    const { handshakes, routes } = app.wsTicket.stats().totals
    const abandoned = [handshakes.abandoned, routes['/echo']?.handshakes.abandoned, routes['/echo']?.tickets.abandoned]
    return abandoned.reduce<number>((sum, count) => sum + (count ?? 0), 0) === 3
  })
  t.strictSame(routeOf(app).tickets, { issued: 2, abandoned: 1 })
  t.equal(routeOf(app).handshakes.FST_WS_TICKET_TLS_REQUIRED, undefined)
})

t.test('a connection that is closed for what its client did makes a line with its close code, and any other makes none', async (t) => {
  const { logger, lines } = captureLog()
  const app = await buildEchoApp(t, { server: { logger }, plugin: { badMessages: { max: 1, timeWindow: '1 minute' } } })
  await listen(app)
  const [honest, rogue] = [await connect(t, app, '/echo'), await connect(t, app, '/echo')]
  const sentAway = await connect(t, app, '/echo', { claims: { sub: 'sent away' } })
  for (const client of [honest, rogue, sentAway]) await client.next()
  for (const text of ['{', '[']) rogue.send(text)
  honest.socket.close(1000)
  for (const connection of app.wsTicket.connections()) if (connection.userId === 'sent away') connection.close(4400, 'by the app')
  t.equal((await rogue.closed).code, 4400)
  t.equal((await sentAway.closed).reason, 'by the app')
  await untilStats(app)
  const told = lines.filter((line) => 'closeCode' in line)
  t.equal(told.length, 1)
  t.match(told, [{ level: 30, closeCode: 4400, reason: 'too many bad messages' }])
})

t.test('H10 who can not be told from the token, and each kind of bad message, is logged with its code', async (t) => {
  const { logger, lines } = captureLog()
  const app = await buildEchoApp(t, { server: { logger } })
  await listen(app)
  await requestTicket(app, '/echo', { headers: { authorization: 'Bearer nonsense' } })
  t.match(
    lines.filter(({ msg }) => msg === 'authentication failed'),
    [{ level: 30, code: 'FST_WS_TICKET_UNAUTHENTICATED', reason: /\w/ }]
  )
  const frames = {
    INVALID_JSON: '{',
    INVALID_ENVELOPE: { type: 7 },
    UNKNOWN_TYPE: { type: 'made up' },
    INVALID_PAYLOAD: { type: 'echo', payload: { text: 7 } }
  }
  for (const frame of Object.values(frames)) {
    const client = await connect(t, app, '/echo')
    await client.next()
    for (let nr = 0; nr < 2; nr++) {
      client.send(frame)
      t.equal((await client.next()).type, '$error')
    }
  }
  const context = { level: 30, connection: /\w/, route: '/echo', user: 'ann' }
  const told = lines.filter(({ msg }) => String(msg).startsWith('a bad message'))
  t.match(
    told,
    Object.keys(frames).map((name) => ({ ...context, code: `FST_WS_TICKET_${name}` }))
  )
  t.equal(told.length, 4, 'once for each connection')
})
