import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { exchange, requestBytes, statusOf } from '../fixtures/raw-socket.js'
import { RecordingRelay } from '../fixtures/recording-relay.js'
import { connectThrough, connectTo, exchangeWith, knockAt, needsProxies, PROXIES, type Site, startSite } from '../fixtures/site.js'
import { issueTicket } from '../fixtures/tickets.js'
import { type HeaderChanges, handshakeBytes } from '../fixtures/upgrade.js'

/** What the app was asked. */
const asked: string[] = []

const options = {
  plugin: { ...manyRequests, maxTicketsPerUser: 1000 },
  server: { trustProxy: '127.0.0.1' },
  declare(app: FastifyInstance) {
    app.addHook('onRequest', async ({ url }) => void asked.push(url))
    app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
    app.route({ method: ['GET', 'POST'], url: '/secret', handler: async () => 'a secret' })
  }
}

const secret = requestBytes('GET /secret HTTP/1.1', { Host: 'localhost', Connection: 'close' })
const plain = requestBytes('GET /echo HTTP/1.1', { Host: 'localhost', Connection: 'close' })

/** Tries each behind a proxy that shows nothing but `/echo`: nothing comes of `/secret`, and others are answered what they ask. */
async function tryAll(
  t: Test,
  scene: Scene,
  site: Site,
  attempts: Record<string, (t: Test, ticket: string) => Promise<string>>
): Promise<void> {
  const { app, port, honest } = scene
  t.match(await exchange(t, port, secret), 'a secret', 'it is there')
  t.equal(statusOf(await exchangeWith(t, site, secret)), 403, 'and hidden')
  const client = await connectThrough(t, site, '/echo', await issueTicket(app, '/echo'))
  asked.length = 0
  for (const [what, attempt] of Object.entries(attempts)) {
    const answer = await attempt(t, await issueTicket(app, '/echo'))
    t.notMatch(answer, 'a secret', `${what}: nothing comes of the request behind it`)
    // the proxy keeps its connections to the app: what was left on one of them would be somebody else's answer
    for (let i = 0; i < 3; i++) t.equal(statusOf(await exchangeWith(t, site, plain)), 426, `${what}: the next one is answered what it asks`)
  }
  await honest.beat()
  t.notMatch(asked.join(), 'secret', 'the app is not asked for it')
  t.match(await client.request('echo', { text: 'still here' }), { type: '$reply' })
  const good = await issueTicket(app, '/echo')
  const { status, raw } = await knockAt(t, site, '/echo', good)
  raw.socket.destroy()
  t.equal(status, 101, 'a good upgrade is let through')
}

/** A bad handshake and a request behind it, in one piece or once it was answered. */
async function sendBehind(t: Test, site: Site, handshake: string, behind: string | Buffer, isPipelined: boolean): Promise<string> {
  const raw = await connectTo(t, site)
  if (isPipelined) {
    raw.write(Buffer.concat([Buffer.from(handshake), Buffer.from(behind)]))
  } else {
    const answered = once(raw.socket, 'data').then(() => raw.write(behind))
    raw.write(handshake)
    await Promise.race([answered, raw.ended])
  }
  return await raw.ended
}

const bad: Record<string, HeaderChanges> = {
  'version 1': { 'Sec-WebSocket-Version': '1' },
  'version 777': { 'Sec-WebSocket-Version': '777' },
  'no version': { 'Sec-WebSocket-Version': undefined },
  'no key': { 'Sec-WebSocket-Key': undefined },
  'a foreign origin': { Origin: 'https://evil.example' }
}

/** The first bytes of a client of HTTP/2 (RFC 9113, section 3.4), and a request for `/secret` in HPACK. */
const FIELDS = Buffer.concat([Buffer.from([0x82, 0x86, 0x04, 7]), Buffer.from('/secret'), Buffer.from([0x01, 9]), Buffer.from('localhost')])
const HTTP2 = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
  Buffer.from([0, 0, FIELDS.length, 1, 5, 0, 0, 0, 1]),
  FIELDS
])

const h2c = { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' }
const upgrades = ['h2c', 'websocket, h2c', 'h2c, websocket', 'h2c websocket', 'websocket/13', 'H2C', 'TLS/1.0']

/** Adds headers, and behind them what somebody who reads them otherwise would take for the body or for the next request. */
function withHeaders(headers: string, body = '0\r\n\r\n') {
  return (bytes: string) => `${bytes.slice(0, -2)}${headers}\r\n\r\n${body}${secret}`
}

const ambiguous: Record<string, (bytes: string) => string> = {
  'a length and chunks': withHeaders('Content-Length: 5\r\nTransfer-Encoding: chunked'),
  'chunks and a length': withHeaders('Transfer-Encoding: chunked\r\nContent-Length: 5'),
  'chunks twice': withHeaders('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'),
  'an unknown coding': withHeaders('Transfer-Encoding: xchunked'),
  'a coding behind chunks': withHeaders('Transfer-Encoding: chunked, identity'),
  'a tab before the coding': withHeaders('Transfer-Encoding:\tchunked'),
  'a blank before the colon': withHeaders('Transfer-Encoding : chunked'),
  'a folded header': withHeaders('X-Folded: a\r\n Transfer-Encoding: chunked'),
  'two lengths': withHeaders('Content-Length: 0\r\nContent-Length: 40', ''),
  'a list of lengths': withHeaders('Content-Length: 5, 5', 'hello'),
  'a signed length': withHeaders('Content-Length: +5', 'hello'),
  'a negative length': withHeaders('Content-Length: -1', ''),
  'a length too large': withHeaders('Content-Length: 18446744073709551616', ''),
  'LF only': (bytes) => bytes.replaceAll('\r\n', '\n') + secret,
  'LF at the end of the headers': (bytes) => `${bytes.slice(0, -4)}\n\n${secret}`,
  'CR only': (bytes) => bytes.replaceAll('\r\n', '\r') + secret,
  'CR inside of a header': (bytes) => bytes.replace('Host: localhost', 'Host: localhost\rX: y') + secret,
  'NUL inside of a header': (bytes) => bytes.replace('Host: localhost', 'Host: local\0host') + secret
}

function attemptsWith<Value>(values: Record<string, Value>, attempt: (t: Test, ticket: string, value: Value) => Promise<string>) {
  return Object.fromEntries(Object.entries(values).map(([what, value]) => [what, (t: Test, ticket: string) => attempt(t, ticket, value)]))
}

if (needsProxies(t)) {
  for (const proxy of PROXIES) {
    attack(`J1 through ${proxy} a bad version opens no tunnel to what it hides`, options, async (t, scene) => {
      const site = await startSite(t, proxy, scene.port, { shown: '/echo' })
      for (const isPipelined of [true, false]) {
        const attempts = attemptsWith(bad, async (t, ticket, changes) => {
          const answer = await sendBehind(t, site, handshakeBytes('/echo', ticket, changes), secret, isPipelined)
          t.match(answer, /^HTTP\/1\.1 4\d\d /)
          return answer
        })
        await tryAll(t, scene, site, attempts)
      }
    })

    attack(`J2 through ${proxy} no upgrade but to websocket is asked for, and none is made`, options, async (t, scene) => {
      const relay = await RecordingRelay.start(t, scene.port)
      const site = await startSite(t, proxy, relay.port, { shown: '/echo' })
      for (const isPipelined of [true, false]) {
        const names = Object.fromEntries(upgrades.map((name) => [name, name]))
        const attempts = attemptsWith(names, async (t, ticket, Upgrade) => {
          const handshake = handshakeBytes('/echo', ticket, { ...h2c, Upgrade })
          const answer = await sendBehind(t, site, handshake, Buffer.concat([HTTP2, Buffer.from(secret)]), isPipelined)
          t.match(answer, /^HTTP\/1\.1 4\d\d /, Upgrade)
          t.notMatch(answer, /HTTP\/1\.1 101|\0/, Upgrade)
          return answer
        })
        await tryAll(t, scene, site, attempts)
      }
      const passedOn = [...relay.sent.toString('latin1').matchAll(/^upgrade:\s*(.*?)\r$/gim)].map(([, name]) => name)
      t.same([...new Set(passedOn)], ['websocket'], 'what the proxy has asked the app to upgrade to')
    })

    attack(`J3 through ${proxy} nothing is smuggled in what it may read otherwise`, options, async (t, scene) => {
      const site = await startSite(t, proxy, scene.port, { shown: '/echo' })
      const edits = { ...ambiguous, 'nothing ambiguous': (bytes: string) => bytes + secret }
      const attempts = attemptsWith(edits, (t, ticket, edit) => exchangeWith(t, site, edit(handshakeBytes('/echo', ticket))))
      await tryAll(t, scene, site, attempts)
    })
  }
}
