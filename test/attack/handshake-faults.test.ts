import type { Test } from 'tap'
import { attack, type Scene } from '../fixtures/attack.js'
import { isGood } from '../fixtures/attacker.js'
import { exchange } from '../fixtures/raw-socket.js'
import { isRefusal, type Refusal } from '../fixtures/refusals.js'
import { issueTicket } from '../fixtures/tickets.js'
import { type HeaderChanges, handshakeBytes } from '../fixtures/upgrade.js'

const bad = { status: 400, code: 'FST_WS_TICKET_BAD_HANDSHAKE' }
const version = { status: 426, code: 'FST_WS_TICKET_UPGRADE_REQUIRED' }
const tooMany = { status: 431, code: 'FST_WS_TICKET_TOO_MANY_HEADERS' }

interface Fault {
  readonly changes?: HeaderChanges
  readonly line?: string
  readonly body?: string
  readonly wanted?: Refusal
}

/** Tries each with a ticket that is good, and is good afterwards. */
async function tryAll(t: Test, { app, port, honest }: Scene, faults: Record<string, Fault>): Promise<void> {
  const ticket = await issueTicket(app, '/echo')
  const { connections } = app.wsTicket.stats()
  for (const [what, { changes, line, body = '', wanted = bad }] of Object.entries(faults)) {
    isRefusal(t, await exchange(t, port, handshakeBytes('/echo', ticket, changes, line) + body), wanted, what)
  }
  await honest.beat()
  t.equal(app.wsTicket.stats().connections, connections, 'none is opened')
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
}

attack('E11 a method other than GET is refused', {}, async (t, scene) => {
  const methods = ['POST', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND']
  await tryAll(t, scene, Object.fromEntries(methods.map((method) => [method, { line: `${method} /echo HTTP/1.1` }])))
})

attack('E11 no key, a short key and any other key are refused', {}, async (t, scene) => {
  const keys = {
    'no key': undefined,
    'an empty key': '',
    'a short key': 'c2hvcnQ=',
    'a key of 15 bytes': 'AAAAAAAAAAAAAAAAAAAA',
    'a key of 17 bytes': 'AAAAAAAAAAAAAAAAAAAAAAA=',
    'a long key': `${'A'.repeat(10_000)}==`,
    'a key that is no base64': '!!!!!!!!!!!!!!!!!!!!!!==',
    'two keys': 'dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=='
  }
  await tryAll(t, scene, Object.fromEntries(Object.entries(keys).map(([what, key]) => [what, { changes: { 'Sec-WebSocket-Key': key } }])))
})

attack('J1 a version other than 13 is refused, and burns no ticket', {}, async (t, scene) => {
  const versions = [undefined, '', '0', '7', '8', '12', '14', '013', '13.0', '13, 13', '13, 8', '8, 13']
  const faults = versions.map((value) => [`version ${value}`, { changes: { 'Sec-WebSocket-Version': value }, wanted: version }])
  await tryAll(t, scene, Object.fromEntries(faults))
})

attack('E11 a body on the upgrade is refused, however it is announced', {}, async (t, scene) => {
  const chunked = { 'Transfer-Encoding': 'chunked' }
  await tryAll(t, scene, {
    'a length and a body': { changes: { 'Content-Length': '5' }, body: 'hello' },
    'a length and no body': { changes: { 'Content-Length': '5' } },
    'a huge length': { changes: { 'Content-Length': '9007199254740991' } },
    chunks: { changes: chunked, body: '5\r\nhello\r\n0\r\n\r\n' },
    'chunks of nothing': { changes: chunked, body: '0\r\n\r\n' },
    'a compressed body': { changes: { 'Transfer-Encoding': 'gzip, chunked' }, body: '0\r\n\r\n' }
  })
})

attack('E11 HTTP/1.0 is refused', {}, async (t, scene) => {
  await tryAll(t, scene, {
    'HTTP/1.0': { line: 'GET /echo HTTP/1.0' },
    'HTTP/1.0, kept alive': { line: 'GET /echo HTTP/1.0', changes: { Connection: 'Upgrade, keep-alive' } }
  })
})

attack('E11 other versions of HTTP are answered 400 or 505 and closed', {}, async (t, { app, port }) => {
  const ticket = await issueTicket(app, '/echo')
  for (const name of ['HTTP/0.9', 'HTTP/2.0', 'HTTP/1.2', 'HTTPS/1.1', 'http/1.1']) {
    t.match(await exchange(t, port, handshakeBytes('/echo', ticket, {}, `GET /echo ${name}`)), /^HTTP\/1\.1 (400|505) /, name)
  }
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
})

/** So many headers that are as short as they can be, under all names. */
function manyHeaders(count: number): HeaderChanges {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`x${i.toString(36)}`, '']))
}

attack('E12 more than 100 headers are refused, 100 are not', {}, async (t, scene) => {
  const { app, port } = scene
  const own = handshakeBytes('/echo', 'x').trim().split('\r\n').length - 1
  await tryAll(t, scene, {
    'one too many': { changes: manyHeaders(101 - own), wanted: tooMany },
    'one name 101 times': { changes: { 'X-Same': `${'x\r\nX-Same: '.repeat(100)}x` }, wanted: tooMany },
    'a few hundred': { changes: manyHeaders(500), wanted: tooMany },
    'one too many for h2c': { changes: { ...manyHeaders(101 - own), Upgrade: 'h2c' }, wanted: tooMany }
  })
  const options = { changes: manyHeaders(100 - own) }
  t.ok(await isGood(t, port, '/echo', await issueTicket(app, '/echo'), options), '100 are none too many')
})

attack('E12 a list so long that Node drops the Origin behind it is refused', { plugin: { allowMissingOrigin: true } }, async (t, scene) => {
  const { app, port } = scene
  const ticket = await issueTicket(app, '/echo', { headers: { origin: undefined } })
  for (const count of [994, 1100, 1900, 2300]) {
    const { Origin, ...rest }: HeaderChanges = { Origin: 'https://evil.example', ...manyHeaders(count) }
    const bytes = handshakeBytes('/echo', ticket, { Origin: undefined, ...rest }).replace(/\r\n\r\n$/, `\r\nOrigin: ${Origin}\r\n\r\n`)
    const answer = await exchange(t, port, bytes)
    // later releases of Node than 20 refuse it themselves, with the same status
    t.match(answer, /^HTTP\/1\.1 431 /, `${count} headers`)
    t.equal(answer.split('HTTP/1.1 ').length, 2, 'one answer')
  }
  t.ok(await isGood(t, port, '/echo', ticket, { changes: { Origin: undefined } }), 'the ticket is not burnt')
})
