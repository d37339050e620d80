import t from 'tap'
import { isSerializedOrigin } from '../../src/serialized-origin.js'
import { buildEchoApp, ORIGIN } from '../fixtures/app.js'
import { listen, upgradeStatus } from '../fixtures/client.js'
import { exchange } from '../fixtures/raw-socket.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes, parseAnswer, refusedUpgrade } from '../fixtures/upgrade.js'

const manyUpgrades = { upgradePerIp: { max: 1000, timeWindow: 60_000 } }

const foreign: [id: string, what: string, origin: string | undefined][] = [
  ['D1', "'null'", 'null'],
  ['D1', 'no origin', undefined],
  ['D2', 'a suffix', `${ORIGIN}.evil.example`],
  ['D2', 'a prefix', 'https://evilapp.example.com'],
  ['D2', 'a subdomain', 'https://sub.app.example.com'],
  ['D2', 'another port', `${ORIGIN}:8443`],
  ['D2', 'another scheme', 'http://app.example.com'],
  ['D2', 'X for a dot', 'https://appXexample.com'],
  ['D3', 'upper case', 'https://APP.example.com'],
  ['D3', 'the default port', `${ORIGIN}:443`],
  ['D3', 'a slash at the end', `${ORIGIN}/`],
  ['D3', 'a dot at the end', `${ORIGIN}.`],
  ['D3', 'userinfo', 'https://user@app.example.com'],
  ['D3', 'percent-encoding', 'https://app%2Eexample.com'],
  ['D4', 'an IPv4 address', 'https://127.0.0.1'],
  ['D4', 'localhost', 'http://localhost'],
  ['D4', 'an IPv6 address', 'http://[::1]'],
  ['D5', 'a list', `${ORIGIN}, https://evil.example`],
  ['D6', 'nonsense', '://:::'],
  ['D6', 'an origin of 8 KB', `https://${'a'.repeat(8000)}.example`]
]

t.test('origins that are not on the list are refused, and the ticket stays good', async (t) => {
  const app = await buildEchoApp(t, { plugin: manyUpgrades })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  for (const [id, what, origin] of foreign) {
    await t.test(`${id} ${what} is refused`, async (t) => {
      const answer = await refusedUpgrade(t, port, '/echo', ticket, { Origin: origin })
      t.match(answer, { status: 403, code: origin === undefined ? 'FST_WS_TICKET_ORIGIN_MISSING' : 'FST_WS_TICKET_ORIGIN_REFUSED' })
      t.match(answer.text, /connection: close/i)
    })
  }
  await t.test('D5 two Origin headers are refused', async (t) => {
    const bytes = handshakeBytes('/echo', ticket).replace('Origin:', `Origin: ${ORIGIN}\r\nOrigin:`)
    t.match(parseAnswer(await exchange(t, port, bytes)), { status: 403, code: 'FST_WS_TICKET_ORIGIN_REFUSED' })
  })
  await t.test('D6 an Origin of 16 KB is answered and closed', async (t) => {
    const answer = await refusedUpgrade(t, port, '/echo', ticket, { Origin: `https://${'a'.repeat(16_384)}` })
    t.equal(answer.status, 431)
  })
  await t.test('D7 Sec-WebSocket-Origin of version 8 is not an Origin', async (t) => {
    const changes = { Origin: undefined, 'Sec-WebSocket-Origin': ORIGIN, 'Sec-WebSocket-Version': '8' }
    t.match(await refusedUpgrade(t, port, '/echo', ticket, changes), { status: 426, code: 'FST_WS_TICKET_UPGRADE_REQUIRED' })
  })
  await t.test('D8 a Host that equals the foreign Origin does not help', async (t) => {
    const answer = await refusedUpgrade(t, port, '/echo', ticket, { Host: 'evil.example', Origin: 'http://evil.example' })
    t.match(answer, { status: 403, code: 'FST_WS_TICKET_ORIGIN_REFUSED' })
  })
  t.match(app.wsTicket.stats(), { pendingHandshakes: 0, connections: 0, counted: { ips: 0, users: 0 } })
  t.match(await upgradeStatus(t, app, '/echo', ['fastify-ws-ticket.v1', `ticket.${ticket}`]), { status: 101 })
})

t.test('D1 null and no origin are allowed by name', async (t) => {
  const app = await buildEchoApp(t, { plugin: { allowedOrigins: ['null'], allowMissingOrigin: true } })
  await listen(app)
  for (const origin of ['null', undefined]) {
    const ticket = await issueTicket(app, '/echo', { headers: { origin } })
    const client = await upgradeStatus(t, app, '/echo', ['fastify-ws-ticket.v1', `ticket.${ticket}`], { origin: origin ?? '' })
    t.match(client, { status: 101 }, String(origin))
  }
})

t.test('D4 an address that is listed is allowed', async (t) => {
  const app = await buildEchoApp(t, { plugin: { allowedOrigins: ['http://[::1]:3000'] } })
  await listen(app)
  const ticket = await issueTicket(app, '/echo', { headers: { origin: 'http://[::1]:3000' } })
  const protocols = ['fastify-ws-ticket.v1', `ticket.${ticket}`]
  t.match(await upgradeStatus(t, app, '/echo', protocols, { origin: 'http://[::1]:3000' }), { status: 101 })
})

t.test('C13 a ticket is good only for the origin that asked for it', async (t) => {
  const other = 'https://other.example.com'
  const app = await buildEchoApp(t, { plugin: { allowedOrigins: [ORIGIN, other], allowMissingOrigin: true } })
  const port = await listen(app)
  const ofOrigin = await issueTicket(app, '/echo')
  const ofNone = await issueTicket(app, '/echo', { headers: { origin: undefined } })
  for (const [ticket, origin] of [
    [ofOrigin, other],
    [ofOrigin, undefined],
    [ofNone, ORIGIN]
  ]) {
    t.match(await refusedUpgrade(t, port, '/echo', ticket, { Origin: origin }), { status: 401, code: 'FST_WS_TICKET_INVALID_TICKET' })
  }
  t.match(await upgradeStatus(t, app, '/echo', ['fastify-ws-ticket.v1', `ticket.${ofOrigin}`]), { status: 101 }, 'not burnt')
})

t.test('D9 what is no serialised origin is told apart', async (t) => {
  for (const origin of [
    'https://a.example',
    'http://localhost:3000',
    'http://[::1]',
    'null',
    'capacitor://localhost',
    'moz-extension://a-b'
  ]) {
    t.ok(isSerializedOrigin(origin), origin)
  }
  const wrong = [
    '*',
    'https://*.example',
    '/^https/',
    'https://a.example/path',
    'https://a.example/',
    'https://a.example:443',
    'a.example',
    ''
  ]
  for (const text of [
    ...wrong,
    'https://A.example',
    'https://u@a.example',
    'https://a.example?x',
    'Capacitor://localhost',
    'https://a b',
    'x://:a'
  ]) {
    t.notOk(isSerializedOrigin(text), text)
  }
})
