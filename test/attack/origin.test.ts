import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { bearer, buildEchoApp, ORIGIN } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { isGood } from '../fixtures/attacker.js'
import { upgradeStatus } from '../fixtures/client.js'
import { exchange, requestBytes } from '../fixtures/raw-socket.js'
import { isRefusal, protocolsOf } from '../fixtures/refusals.js'
import { withHttp } from '../fixtures/server-options.js'
import { issueTicket } from '../fixtures/tickets.js'
import { type HeaderChanges, handshakeBytes } from '../fixtures/upgrade.js'

const refused = { status: 403, code: 'FST_WS_TICKET_ORIGIN_REFUSED' }
const missing = { status: 403, code: 'FST_WS_TICKET_ORIGIN_MISSING' }
const EVIL = 'https://evil.example'

/** The bytes with which a page would ask for a ticket. */
function ticketBytes(app: FastifyInstance, changes: HeaderChanges): string {
  const all = { Host: 'localhost', Connection: 'close', 'Content-Type': 'application/json', ...bearer(app), Origin: ORIGIN, ...changes }
  const headers: Record<string, string> = { 'Content-Length': '2' }
  for (const [name, value] of Object.entries(all)) {
    if (value !== undefined) headers[name] = value
  }
  return `${requestBytes('POST /echo/ticket HTTP/1.1', headers)}{}`
}

interface Try {
  readonly what: string
  readonly changes: HeaderChanges
  /** What becomes of the bytes before they are sent. */
  readonly edit?: (bytes: string) => string
  readonly wanted?: { status: number; code: string }
}

/** Tries each on the ticket route and with a good ticket on the upgrade: nothing is issued, and nothing is burnt. */
async function tryAll(t: Test, { app, port, honest }: Scene, tries: Try[]): Promise<void> {
  const ticket = await issueTicket(app, '/echo')
  const { tickets, connections } = app.wsTicket.stats()
  for (const { what, changes, edit = (bytes: string) => bytes, wanted = refused } of tries) {
    isRefusal(t, await exchange(t, port, edit(handshakeBytes('/echo', ticket, changes))), wanted, `${what}, upgrade`)
    isRefusal(t, await exchange(t, port, edit(ticketBytes(app, changes))), wanted, `${what}, ticket`)
  }
  await honest.beat()
  t.match(app.wsTicket.stats(), { tickets, connections }, 'nothing is issued')
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
}

function origins(cases: Record<string, string>): Try[] {
  return Object.entries(cases).map(([what, origin]) => ({ what, changes: { Origin: origin } }))
}

const noOrigin = { what: 'no origin', changes: { Origin: undefined }, wanted: missing }

attack("D1 'null' and no Origin are refused", {}, async (t, scene) => {
  await tryAll(t, scene, [...origins({ "'null'": 'null', "'NULL'": 'NULL' }), noOrigin])
})

attack("D1 'null' is let in where it is listed, and it alone", { plugin: { allowedOrigins: [ORIGIN, 'null'] } }, async (t, scene) => {
  const ticket = await issueTicket(scene.app, '/echo', { headers: { origin: 'null' } })
  t.match(await upgradeStatus(t, scene.app, '/echo', protocolsOf(ticket), { origin: 'null' }), { status: 101 })
  await tryAll(t, scene, [...origins({ 'an empty text': '', "'undefined'": 'undefined' }), noOrigin])
})

attack(
  'D1 no Origin is let in where that is allowed, and no foreign one is',
  { plugin: { allowMissingOrigin: true } },
  async (t, scene) => {
    const ticket = await issueTicket(scene.app, '/echo', { headers: { origin: undefined } })
    t.match(await upgradeStatus(t, scene.app, '/echo', protocolsOf(ticket), { origin: '' }), { status: 101 })
    await tryAll(t, scene, origins({ "'null'": 'null', 'a foreign one': EVIL }))
  }
)

attack('D2 an origin that only resembles the listed one is refused', {}, async (t, scene) => {
  const cases = {
    'a suffix': `${ORIGIN}.evil.example`,
    'a suffix without a dot': `${ORIGIN}evil`,
    'a prefix': 'https://evilapp.example.com',
    'a subdomain': 'https://sub.app.example.com',
    'the parent domain': 'https://example.com',
    'another port': `${ORIGIN}:8443`,
    'another scheme': 'http://app.example.com',
    'the scheme of WebSockets': 'wss://app.example.com',
    'X for a dot': 'https://appXexample.com'
  }
  await tryAll(t, scene, origins(cases))
})

attack('D3 the listed origin in any other spelling is refused', {}, async (t, scene) => {
  const cases = {
    'upper case host': 'https://APP.example.com',
    'upper case scheme': 'HTTPS://app.example.com',
    'the default port': `${ORIGIN}:443`,
    'an empty port': `${ORIGIN}:`,
    'a slash at the end': `${ORIGIN}/`,
    'a path': `${ORIGIN}/echo`,
    'a dot at the end': `${ORIGIN}.`,
    userinfo: 'https://user@app.example.com',
    'an origin for userinfo': `${ORIGIN}@evil.example`,
    'a percent-encoded dot': 'https://app%2Eexample.com',
    'a percent-encoded letter': 'https://%61pp.example.com'
  }
  await tryAll(t, scene, origins(cases))
})

attack('D4 addresses and localhost are refused, whoever connects from there', {}, async (t, scene) => {
  const cases = {
    'an IPv4 address': 'http://127.0.0.1',
    "the app's own address": `http://127.0.0.1:${scene.port}`,
    localhost: 'http://localhost',
    'localhost with the port': `http://localhost:${scene.port}`,
    'an IPv6 address': 'http://[::1]',
    'a mapped address': 'http://[::ffff:127.0.0.1]',
    'an address as a number': 'http://2130706433'
  }
  await tryAll(t, scene, origins(cases))
})

attack('D4 an address is let in where it is listed', { plugin: { allowedOrigins: [ORIGIN, 'http://[::1]:3000'] } }, async (t, scene) => {
  const ticket = await issueTicket(scene.app, '/echo', { headers: { origin: 'http://[::1]:3000' } })
  t.match(await upgradeStatus(t, scene.app, '/echo', protocolsOf(ticket), { origin: 'http://[::1]:3000' }), { status: 101 })
  await tryAll(t, scene, origins({ 'without its port': 'http://[::1]', 'with another': 'http://[::1]:3001' }))
})

attack('D5 two Origin headers and lists are refused, the listed one first, last, or twice', {}, async (t, scene) => {
  const twice = (first: string, second: string) => (bytes: string) =>
    bytes.replace(/Origin: .*\r\n/, `Origin: ${first}\r\nX-Between: x\r\norigin: ${second}\r\n`)
  const pairs = [
    [ORIGIN, EVIL],
    [EVIL, ORIGIN],
    [ORIGIN, ORIGIN],
    [ORIGIN, 'null'],
    [ORIGIN, '']
  ] as const
  const headers = pairs.map(([first, second]) => ({ what: `${first} and ${second}`, changes: {}, edit: twice(first, second) }))
  const lists = pairs.flatMap(([first, second]) => [`${first}, ${second}`, `${first},${second}`, `${first} ${second}`])
  // the parser takes blanks at the end of a value away, so that nothing is left of an empty second one
  const kept = lists.filter((list) => list.trim() !== ORIGIN)
  await tryAll(t, scene, [...headers, ...kept.map((list) => ({ what: list, changes: { Origin: list } }))])
})

attack('D6 a malformed Origin is refused', {}, async (t, scene) => {
  const cases = {
    nonsense: '://:::',
    'a scheme': 'https://',
    'a host': 'app.example.com',
    'no scheme': '//app.example.com',
    backslashes: 'https:\\\\app.example.com',
    'an open bracket': 'http://[::1',
    'a port that is none': `${ORIGIN}:99999`,
    'bytes above ASCII': 'https://\u00e4pp.example.com',
    'of 8 KB': `https://${'a'.repeat(8000)}.example`
  }
  await tryAll(t, scene, [...origins(cases), { what: '__proto__', changes: { Origin: '__proto__' } }])
})

attack('D6 an Origin of 16 KB is refused', { server: withHttp({ maxHeaderSize: 65_536 }) }, async (t, scene) => {
  await tryAll(
    t,
    scene,
    origins({ 'of 16 KB': `https://${'a'.repeat(16_384)}.example`, 'with the listed one first': `${ORIGIN}${' '.repeat(16_384)}x` })
  )
})

attack("D6 an Origin of 16 KB that is over Node's own limit is answered 431 and closed", {}, async (t, { app, port }) => {
  const ticket = await issueTicket(app, '/echo')
  const answer = await exchange(t, port, handshakeBytes('/echo', ticket, { Origin: `https://${'a'.repeat(16_384)}` }))
  t.match(answer, /^HTTP\/1\.1 431 /)
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
})

attack('D7 Sec-WebSocket-Origin is no Origin, of version 8 or 13', { plugin: { allowMissingOrigin: true } }, async (t, { app, port }) => {
  const ticket = await issueTicket(app, '/echo')
  for (const [version, origin] of [
    ['8', undefined],
    ['8', ORIGIN],
    ['7', undefined]
  ] as const) {
    const changes = { Origin: origin, 'Sec-WebSocket-Origin': ORIGIN, 'Sec-WebSocket-Version': version }
    const wanted = { status: 426, code: 'FST_WS_TICKET_UPGRADE_REQUIRED' }
    isRefusal(t, await exchange(t, port, handshakeBytes('/echo', ticket, changes)), wanted, `version ${version}`)
  }
  const beside = { Origin: EVIL, 'Sec-WebSocket-Origin': ORIGIN }
  isRefusal(t, await exchange(t, port, handshakeBytes('/echo', ticket, beside)), refused, 'beside a foreign one')
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
})

attack('D8 a Host that equals the foreign Origin does not help, nor what a proxy would add', {}, async (t, scene) => {
  const host = `evil.example:${scene.port}`
  const changes = { Host: host, Origin: `http://${host}` }
  const forwarded = { 'X-Forwarded-Host': host, Forwarded: `host=${host};proto=http` }
  const listed = { Host: 'app.example.com', Referer: `${ORIGIN}/`, 'X-Forwarded-Host': 'app.example.com' }
  await tryAll(t, scene, [
    { what: 'its own host', changes },
    { what: 'its own host, forwarded', changes: { ...changes, ...forwarded } },
    { what: 'the host of the listed one', changes: { ...listed, Origin: EVIL } },
    { what: 'the host of the listed one, and no origin', changes: { ...listed, Origin: undefined }, wanted: missing }
  ])
})

attack('D9 an app that lists no exact origin refuses to start', {}, async (t) => {
  const wrong = [
    '*',
    'https://*',
    'https://*.example.com',
    '/^https:/',
    'https://app\\.example\\.com',
    '.*',
    `${ORIGIN}/path`,
    `${ORIGIN}/`,
    'app.example.com',
    ''
  ]
  for (const origin of wrong) {
    const started = buildEchoApp(t, { plugin: { allowedOrigins: [ORIGIN, origin] } })
    await t.rejects(started, { code: 'FST_WS_TICKET_INVALID_OPTION' }, JSON.stringify(origin))
  }
})
