import t from 'tap'
import { buildApp, buildEchoApp, echoContract, echoHandlers, JWT_SECRET, ORIGIN } from '../fixtures/app.js'
import { connect, listen, open, upgradeStatus } from '../fixtures/client.js'
import { captureLog } from '../fixtures/log.js'
import { connectRaw, exchange } from '../fixtures/raw-socket.js'
import { openClient } from '../fixtures/redis-clients.js'
import { RedisServer } from '../fixtures/redis-server.js'
import { SlowStore } from '../fixtures/slow-store.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes, parseAnswer, refusedUpgrade, untilStats } from '../fixtures/upgrade.js'

const invalid = { status: 401, code: 'FST_WS_TICKET_INVALID_TICKET' }
const misplaced = { status: 400, code: 'FST_WS_TICKET_MISPLACED_TICKET' }
const nothingHeld = { pendingHandshakes: 0, connections: 0, counted: { ips: 0, users: 0 } }
const protocolsOf = (ticket: string) => ['fastify-ws-ticket.v1', `ticket.${ticket}`]

t.test('B2 what is no ticket is refused by its form, and the store is not asked', async (t) => {
  const store = new SlowStore('find')
  const app = await buildEchoApp(t, { plugin: { store } })
  const port = await listen(app)
  const texts = ['__proto__', 'constructor', 'toString', 'a:b', '*', 'a'.repeat(42), 'a'.repeat(44), 'a'.repeat(8000), '']
  for (const text of texts) t.match(await refusedUpgrade(t, port, '/echo', text), invalid, text.slice(0, 50))
  for (const bytes of ['a\0b', 'a\rb']) {
    t.equal(parseAnswer(await exchange(t, port, handshakeBytes('/echo', bytes))).status, 400, JSON.stringify(bytes))
  }
  t.equal(parseAnswer(await exchange(t, port, handshakeBytes('/echo', 'a'.repeat(65_536)))).status, 431, '64 KB')
  t.match(app.wsTicket.stats(), nothingHeld)
})

t.test('C1 of 200 upgrades with one ticket exactly one is opened', async (t) => {
  const many = { max: 1000, timeWindow: 60_000 }
  const plugin = { maxConnectionsPerIp: 1000, maxConnectionsPerUser: 1000, maxPendingHandshakes: 1000, upgradePerIp: many }
  const app = await buildEchoApp(t, { plugin })
  await listen(app)
  const ticket = await issueTicket(app, '/echo')
  const clients = Array.from({ length: 200 }, () => open(t, app, '/echo', protocolsOf(ticket)))
  const statuses = await Promise.all(
    clients.map(
      ({ socket }) =>
        new Promise<number>((resolve) => {
          socket.once('open', () => resolve(101))
          socket.once('unexpected-response', (_request, response) => {
            response.resume()
            resolve(response.statusCode ?? 0)
          })
        })
    )
  )
  t.equal(statuses.filter((status) => status === 101).length, 1)
  t.equal(statuses.filter((status) => status === 401).length, 199)
  const winner = clients[statuses.indexOf(101)]
  winner?.socket.close()
  await winner?.closed
  await untilStats(app)
})

t.test('C2 C3 a used ticket is refused and noticed each time', async (t) => {
  const { logger, lines } = captureLog()
  const app = await buildEchoApp(t, { server: { logger } })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  const client = open(t, app, '/echo', protocolsOf(ticket))
  t.match(await client.next(), { type: '$welcome' })
  for (const times of [1, 2]) {
    t.match(await refusedUpgrade(t, port, '/echo', ticket), invalid)
    t.equal(lines.filter(({ code }) => code === 'FST_WS_TICKET_TICKET_REPLAYED').length, times)
  }
  t.match(await client.request('echo', { text: 'still here' }), { type: '$reply' })
})

t.test("C2 with replay 'disconnect' the connection of a replayed ticket is closed with 4409", async (t) => {
  const app = await buildEchoApp(t, { plugin: { replay: 'disconnect' } })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  const client = open(t, app, '/echo', protocolsOf(ticket))
  const other = await connect(t, app, '/echo')
  t.match(await client.next(), { type: '$welcome' })
  t.match(await other.next(), { type: '$welcome' })
  t.match(await refusedUpgrade(t, port, '/echo', ticket), invalid)
  t.match(await client.closed, { code: 4409 })
  t.match(await other.request('echo', { text: 'x' }), { type: '$reply' }, 'nobody else is')
})

t.test('C6 a ticket opens its own route and path only', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/a', { contract: echoContract, handlers: echoHandlers })
  app.wsRoute('/rooms/:room', { contract: echoContract, handlers: echoHandlers })
  const otherApp = await buildEchoApp(t)
  const port = await listen(app)
  const otherPort = await listen(otherApp)
  const ticket = await issueTicket(app, '/rooms/1')
  for (const path of ['/a', '/rooms/2', '/rooms/1%20']) t.match(await refusedUpgrade(t, port, path, ticket), invalid, path)
  t.match(await refusedUpgrade(t, otherPort, '/echo', ticket), invalid, 'another app')
  t.match(await upgradeStatus(t, app, '/rooms/%31', protocolsOf(ticket)), { status: 101 }, 'not burnt, and any spelling of its path')
})

t.test('C7 C8 a ticket in the wrong place, or in two, is refused and stays good', async (t) => {
  const app = await buildEchoApp(t)
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  t.match(await refusedUpgrade(t, port, `/echo?ticket=${ticket}`), misplaced, 'C7 in the query')
  t.match(await refusedUpgrade(t, port, `/echo?ticket=${ticket}`, ticket), misplaced, 'C7 in the query too')
  const twice = { 'Sec-WebSocket-Protocol': `fastify-ws-ticket.v1, ticket.${ticket}, ticket.${ticket}` }
  t.match(await refusedUpgrade(t, port, '/echo', undefined, twice), misplaced, 'C8 twice')
  t.match(await upgradeStatus(t, app, '/echo', protocolsOf(ticket)), { status: 101 })
})

t.test('C7 C8 where the query is a place for tickets', async (t) => {
  const app = await buildEchoApp(t, { plugin: { ticketTransport: ['query'] } })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  t.match(await refusedUpgrade(t, port, '/echo', ticket), misplaced, 'C7 in the subprotocol')
  t.match(await refusedUpgrade(t, port, `/echo?ticket=${ticket}&ticket=${ticket}`), misplaced, 'C8 twice')
  t.match(await upgradeStatus(t, app, `/echo?a=b&ticket=${ticket}`, []), { status: 101 }, 'without a subprotocol')
  const second = await issueTicket(app, '/echo')
  t.match(await upgradeStatus(t, app, `/echo?ticket=${second}`, ['fastify-ws-ticket.v1']), { status: 101 }, 'with ours')

  const both = await buildEchoApp(t, { plugin: { ticketTransport: ['query', 'subprotocol'] } })
  const bothPort = await listen(both)
  const third = await issueTicket(both, '/echo')
  t.match(await refusedUpgrade(t, bothPort, `/echo?ticket=${third}`, third), misplaced, 'C8 in both places')
  t.match(await upgradeStatus(t, both, '/echo', protocolsOf(third)), { status: 101 })
})

t.test('C10 unknown, used and foreign tickets get the same answer', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
  app.wsRoute('/other', { contract: echoContract, handlers: echoHandlers })
  const port = await listen(app)
  const used = await issueTicket(app, '/echo')
  await upgradeStatus(t, app, '/echo', protocolsOf(used))
  const tickets = ['x'.repeat(43), used, await issueTicket(app, '/other'), 'malformed', undefined]
  const answers: string[] = []
  for (const ticket of tickets) answers.push((await refusedUpgrade(t, port, '/echo', ticket)).text)
  t.equal(new Set(answers.map((text) => text.replace(/^date: .*$/im, ''))).size, 1)
  t.match(parseAnswer(String(answers[0])), invalid)
})

t.test('C11 guesses from one address are limited', async (t) => {
  const app = await buildEchoApp(t, { plugin: { upgradePerIp: { max: 2, timeWindow: 60_000 } } })
  const port = await listen(app)
  for (const ticket of ['a', 'b']) t.match(await refusedUpgrade(t, port, '/echo', ticket.repeat(43)), invalid)
  const ticket = await issueTicket(app, '/echo')
  const answer = await refusedUpgrade(t, port, '/echo', ticket)
  t.match(answer, { status: 429, code: 'FST_WS_TICKET_TOO_MANY_REQUESTS' })
  t.match(answer.text, /retry-after: \d+/i)
  t.match(app.wsTicket.stats(), { tickets: 1, ...nothingHeld })
})

t.test('C12 a JWT is no ticket and a ticket is no JWT', async (t) => {
  const app = await buildEchoApp(t)
  const port = await listen(app)
  t.match(await refusedUpgrade(t, port, '/echo', app.jwt.sign({ sub: 'ann' })), invalid)
  const ticket = await issueTicket(app, '/echo')
  const headers = { authorization: `Bearer ${ticket}`, origin: ORIGIN, 'content-type': 'application/json' }
  const response = await app.inject({ method: 'POST', url: '/echo/ticket', headers })
  t.equal(response.statusCode, 401)
  t.notMatch(response.body, JWT_SECRET)
})

t.test('C14 a client that goes away while its ticket is looked up does not burn it', async (t) => {
  const store = new SlowStore('find')
  const app = await buildEchoApp(t, { plugin: { store } })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  for (const leave of ['destroy', 'resetAndDestroy', 'end'] as const) {
    const raw = await connectRaw(t, port)
    raw.write(handshakeBytes('/echo', ticket))
    await store.whenAsked()
    raw.socket[leave]()
    await untilStats(app)
    store.answer()
    await raw.ended
    t.match(app.wsTicket.stats(), nothingHeld, leave)
  }
  t.equal(store.redeemed, 0)
  const client = open(t, app, '/echo', protocolsOf(ticket))
  await store.whenAsked()
  store.answer()
  t.match(await client.next(), { type: '$welcome' }, 'the ticket is good')
})

t.test('C14 a client that goes away while its ticket is being used leaves nothing behind', async (t) => {
  const store = new SlowStore('redeem')
  let opened = 0
  const app = await buildApp(t, { plugin: { store } })
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, onOpen: () => void opened++ })
  const port = await listen(app)
  const raw = await connectRaw(t, port)
  raw.write(handshakeBytes('/echo', await issueTicket(app, '/echo')))
  await store.whenAsked()
  t.match(app.wsTicket.stats(), { pendingHandshakes: 1, counted: { ips: 1, users: 1 } }, 'its places are held')
  raw.socket.resetAndDestroy()
  await untilStats(app)
  store.answer()
  const other = await issueTicket(app, '/echo')
  const client = open(t, app, '/echo', protocolsOf(other))
  await store.whenAsked()
  store.answer()
  t.match(await client.next(), { type: '$welcome' })
  t.equal(opened, 1)
})

t.test('C15 a ticket that is bound to an address is refused from another', async (t) => {
  const app = await buildEchoApp(t, { server: { trustProxy: true }, plugin: { bindTicketToIp: true, allowInsecure: true } })
  const port = await listen(app)
  const issue = (ip: string) => issueTicket(app, '/echo', { headers: { 'x-forwarded-for': ip } })
  const v4 = await issue('203.0.113.5')
  t.match(await refusedUpgrade(t, port, '/echo', v4, { 'X-Forwarded-For': '203.0.113.6' }), invalid)
  t.match(await upgradeStatus(t, app, '/echo', protocolsOf(v4), { headers: { 'x-forwarded-for': '203.0.113.5' } }), { status: 101 })
  const v6 = await issue('2001:db8:1:2::1')
  t.match(await refusedUpgrade(t, port, '/echo', v6, { 'X-Forwarded-For': '2001:db8:1:3::1' }), invalid)
  t.match(await upgradeStatus(t, app, '/echo', protocolsOf(v6), { headers: { 'x-forwarded-for': '2001:db8:1:2:ffff::9' } }), {
    status: 101
  })
})

t.test('a user who is disconnected while the ticket is being used is not let in', async (t) => {
  const store = new SlowStore('redeem')
  const app = await buildEchoApp(t, { plugin: { store } })
  const port = await listen(app)
  const answer = refusedUpgrade(t, port, '/echo', await issueTicket(app, '/echo'))
  await store.whenAsked()
  await app.wsTicket.disconnect({ user: 'bob' })
  const { ticketsVoided } = await app.wsTicket.disconnect({ user: 'ann' })
  t.equal(ticketsVoided, 0, 'it is used already')
  store.answer()
  t.match(await answer, invalid)
  t.match(app.wsTicket.stats(), nothingHeld)
})

t.test('C14 a client that leaves while Redis is asked for a place burns no ticket', async (t) => {
  const server = await RedisServer.start(t)
  const store = new SlowStore('find')
  const app = await buildEchoApp(t, { plugin: { store, redis: openClient(t, server.port), redisTimeout: '20 seconds' } })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  const raw = await connectRaw(t, port)
  raw.write(handshakeBytes('/echo', ticket))
  await store.whenAsked()
  server.stop()
  store.answer()
  // what the store has answered is acted on before the next turn
  await new Promise((resolve) => setImmediate(resolve))
  raw.socket.destroy()
  while (app.wsTicket.stats().pendingHandshakes > 0) await new Promise((resolve) => setImmediate(resolve))
  server.continue()
  const upgraded = upgradeStatus(t, app, '/echo', protocolsOf(ticket))
  await store.whenAsked()
  store.answer()
  t.match(await upgraded, { status: 101 })
  t.equal(store.redeemed, 1, 'by the one that is still there')
})
