import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import t from 'tap'
import { createTicket } from '../../src/ticket/ticket.js'
import { Handshake } from '../../src/upgrade/handshake.js'
import { buildEchoApp } from '../fixtures/app.js'
import { listen, upgradeStatus } from '../fixtures/client.js'
import { exchange, requestBytes } from '../fixtures/raw-socket.js'
import { issueTicket } from '../fixtures/tickets.js'
import { type HeaderChanges, handshakeBytes, parseAnswer, refusedUpgrade } from '../fixtures/upgrade.js'

interface Fault {
  readonly what: string
  readonly changes?: HeaderChanges
  readonly line?: string
  readonly status: number
  readonly code: string
}

const bad = { status: 400, code: 'FST_WS_TICKET_BAD_HANDSHAKE' }
const version = { status: 426, code: 'FST_WS_TICKET_UPGRADE_REQUIRED' }
const faults: Fault[] = [
  { what: 'E11 POST', line: 'POST /echo HTTP/1.1', ...bad },
  { what: 'E11 HTTP/1.0', line: 'GET /echo HTTP/1.0', ...bad },
  { what: 'E11 no key', changes: { 'Sec-WebSocket-Key': undefined }, ...bad },
  { what: 'E11 a short key', changes: { 'Sec-WebSocket-Key': 'c2hvcnQ=' }, ...bad },
  { what: 'E11 a key that is no base64', changes: { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' }, ...bad },
  { what: 'E11 a body', changes: { 'Content-Length': '2' }, ...bad },
  { what: 'E11 a chunked body', changes: { 'Transfer-Encoding': 'chunked' }, ...bad },
  { what: 'E11 no version', changes: { 'Sec-WebSocket-Version': undefined }, ...version },
  { what: 'E11 version 8', changes: { 'Sec-WebSocket-Version': '8' }, ...version },
  { what: 'E11 version 12', changes: { 'Sec-WebSocket-Version': '12' }, ...version },
  { what: 'E11 two versions', changes: { 'Sec-WebSocket-Version': '13, 13' }, ...version },
  { what: 'J2 an upgrade to websocket and h2c', changes: { Upgrade: 'websocket, h2c' }, ...bad },
  { what: 'J2 an upgrade to h2c and websocket', changes: { Upgrade: 'h2c, websocket' }, ...bad },
  { what: 'C5 our subprotocol not offered', changes: { 'Sec-WebSocket-Protocol': 'chat' }, ...bad },
  {
    what: 'C5 no subprotocol offered, and so no ticket',
    changes: { 'Sec-WebSocket-Protocol': undefined },
    status: 401,
    code: 'FST_WS_TICKET_INVALID_TICKET'
  }
]

t.test('C5 what is no handshake is refused, and the ticket stays good', async (t) => {
  const app = await buildEchoApp(t)
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  for (const { what, changes, line, status, code } of faults) {
    await t.test(`${what} is refused`, async (t) => {
      const answer = await refusedUpgrade(t, port, '/echo', ticket, changes, line)
      t.match(answer, { status, code })
      t.match(answer.text, /connection: close/i)
      t.notMatch(answer.text, ticket)
    })
  }
  for (const offer of [`fastify-ws-ticket.v1, fastify-ws-ticket.v1, ticket.${ticket}`, `fastify-ws-ticket.v1, a b, ticket.${ticket}`]) {
    await t.test(`C5 the subprotocols ${offer.slice(0, 30)}… are refused`, async (t) => {
      const answer = await refusedUpgrade(t, port, '/echo', ticket, { 'Sec-WebSocket-Protocol': offer })
      t.match(answer, { ...bad, text: 'not a list of different names' })
      t.notMatch(answer.text, ticket)
    })
  }
  await t.test('426 names the version that is spoken', async (t) => {
    const { text } = await refusedUpgrade(t, port, '/echo', ticket, { 'Sec-WebSocket-Version': '8' })
    t.match(text, /sec-websocket-version: 13\r\n/i)
  })
  await t.test('a GET that is no upgrade is told so', async (t) => {
    const response = await app.inject('/echo')
    t.equal(response.statusCode, 426)
    t.match(response.json(), { code: 'FST_WS_TICKET_UPGRADE_REQUIRED', statusCode: 426 })
  })
  t.match(app.wsTicket.stats(), { pendingHandshakes: 0, connections: 0, counted: { ips: 0, users: 0 } })
  t.match(await upgradeStatus(t, app, '/echo', ['fastify-ws-ticket.v1', `ticket.${ticket}`]), { status: 101 })
})

t.test('E12 more than 100 headers are refused, 100 are not', async (t) => {
  const app = await buildEchoApp(t)
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  const many = Object.fromEntries(Array.from({ length: 94 }, (_, i) => [`X-${i}`, 'x']))
  for (const upgrade of ['websocket', 'h2c']) {
    const answer = await refusedUpgrade(t, port, '/echo', ticket, { ...many, Upgrade: upgrade })
    t.match(answer, { status: 431, code: 'FST_WS_TICKET_TOO_MANY_HEADERS' }, upgrade)
  }
  const fewer = Object.fromEntries(Object.entries(many).slice(1))
  t.match(await upgradeStatus(t, app, '/echo', ['fastify-ws-ticket.v1', `ticket.${ticket}`], { headers: { 'x-a': 'b' } }), { status: 101 })
  const second = await issueTicket(app, '/echo')
  t.match(await refusedUpgrade(t, port, '/echo', second, { ...fewer, Origin: 'https://evil.example' }), { status: 403 })
})

t.test('subprotocols in any order and over two headers are understood', async (t) => {
  const app = await buildEchoApp(t)
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  t.match(await upgradeStatus(t, app, '/echo', [`ticket.${ticket}`, 'fastify-ws-ticket.v1']), { status: 101 })
  const second = await issueTicket(app, '/echo')
  const [first, rest] = ['Sec-WebSocket-Protocol: fastify-ws-ticket.v1', `Sec-WebSocket-Protocol: ticket.${second}`]
  const bytes = handshakeBytes('/echo', undefined, { 'Sec-WebSocket-Protocol': undefined, Origin: 'null' })
  const answer = await exchange(t, port, bytes.replace('\r\n\r\n', `\r\n${first}\r\n${rest}\r\n\r\n`))
  t.match(parseAnswer(answer), { status: 403 }, 'refused for the origin only')
})

t.test('J1 a second request after a refused upgrade is not answered', async (t) => {
  const app = await buildEchoApp(t)
  app.get('/secret', async () => 'secret')
  const port = await listen(app)
  const second = requestBytes('GET /secret HTTP/1.1', { Host: 'localhost' })
  for (const changes of [{ 'Sec-WebSocket-Version': '1' }, { Upgrade: 'websocket, h2c' }, { Origin: 'null' }]) {
    const answer = await exchange(t, port, handshakeBytes('/echo', undefined, changes) + second)
    t.equal(answer.match(/HTTP\/1\.1/g)?.length, 1, JSON.stringify(changes))
    t.notMatch(answer, 'secret')
  }
})

t.test('J3 a length beside a transfer coding, and bare line feeds, are not parsed', async (t) => {
  const app = await buildEchoApp(t)
  const port = await listen(app)
  const both = handshakeBytes('/echo', undefined, { 'Content-Length': '0', 'Transfer-Encoding': 'chunked' })
  for (const bytes of [both, handshakeBytes('/echo').replaceAll('\r\n', '\n')]) {
    t.equal(parseAnswer(await exchange(t, port, bytes)).status, 400)
  }
})

/** A handshake by itself, on a socket that is connected to nothing. */
function lonelyHandshake(protocols: string): { request: IncomingMessage; handshake: Handshake } {
  const request = new IncomingMessage(new Socket())
  request.headers['sec-websocket-protocol'] = protocols
  request.rawHeaders.push('Host', 'localhost', 'Sec-WebSocket-Protocol', protocols)
  return { request, handshake: new Handshake(request, request.socket, 0, () => {}) }
}

t.test('C9 a ticket is taken out of the request, with our subprotocol beside it or not', async (t) => {
  const ticket = createTicket()
  const cases = [
    { offered: `fastify-ws-ticket.v1, ticket.${ticket}`, tickets: [ticket], kept: 'fastify-ws-ticket.v1' },
    { offered: `ticket.short, chat, fastify-ws-ticket.v1`, tickets: ['short'], kept: 'fastify-ws-ticket.v1' },
    { offered: `chat, ticket.${ticket}`, tickets: [ticket], kept: 'chat' },
    { offered: 'chat, ticket.short', tickets: [], kept: 'chat, ticket.short' }
  ]
  for (const { offered, tickets, kept } of cases) {
    const { request, handshake } = lonelyHandshake(offered)
    t.same(handshake.offeredTickets, tickets, offered)
    t.equal(request.headers['sec-websocket-protocol'], kept)
    t.same(request.rawHeaders, ['Host', 'localhost', 'Sec-WebSocket-Protocol', kept])
  }
})

t.test('C14 what is held is given back once, and what comes after the end at once', async (t) => {
  const { handshake } = lonelyHandshake('chat')
  const released: string[] = []
  handshake.hold(() => released.push('early'))
  handshake.release()
  handshake.hold(() => released.push('late'))
  handshake.release()
  t.same(released, ['early', 'late'])
})
