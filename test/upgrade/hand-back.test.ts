import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { promisify } from 'node:util'
import fastifyJwt from '@fastify/jwt'
import type { FastifyServerOptions } from 'fastify'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.js'
import { wsTicket } from '../../src/index.js'
import { gateOf } from '../../src/upgrade/gate.js'
import { buildApp, JWT_SECRET, ORIGIN } from '../fixtures/app.js'
import { listen } from '../fixtures/client.js'
import { connectRaw, RawSocket, requestBytes } from '../fixtures/raw-socket.js'
import { untilStats } from '../fixtures/upgrade.js'

const h2c = { Host: 'localhost', Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' }
const get = requestBytes('GET /rest?a=b HTTP/1.1', h2c)
const post = (body: string) =>
  requestBytes('POST /rest HTTP/1.1', { ...h2c, 'Content-Type': 'application/json', 'Content-Length': String(body.length) })

function addRoutes(app: FastifyInstance): void {
  app.get('/rest', async (request) => ({ got: request.query, upgrade: request.headers.upgrade ?? null }))
  app.post('/rest', async (request) => ({ posted: request.body }))
}

/** Asks for h2c in all ways and sees to it that each request is answered as if it had not. */
async function askForH2c(t: Test, raw: RawSocket): Promise<void> {
  raw.write(get)
  t.match(await raw.until('{"got":{"a":"b"},"upgrade":null}'), /^HTTP\/1\.1 200/)
  const body = JSON.stringify({ text: 'x'.repeat(20_000) })
  const bytes = post(body) + body
  raw.write(bytes.slice(0, 1000))
  await new Promise((resolve) => setImmediate(resolve))
  raw.write(bytes.slice(1000))
  await raw.until(`{"posted":${body}}`)
  for (let i = 0; i < 15; i++) {
    raw.write(requestBytes(`GET /rest?i=${i} HTTP/1.1`, h2c))
    await raw.until(`"i":"${i}"`)
  }
  raw.write(requestBytes('GET /rest?last HTTP/1.1', { ...h2c, Connection: 'close, Upgrade' }))
  t.match(await raw.ended, /connection: close\r\n[\s\S]*"last"/i)
}

t.test('E10 a request for h2c is answered as ordinary HTTP, on one connection as often as one likes', async (t) => {
  const warnings: Error[] = []
  // later releases of Node say that what strips the tests' types is deprecated
  const onWarning = (warning: Error) => warning.name !== 'DeprecationWarning' && warnings.push(warning)
  process.on('warning', onWarning)
  t.teardown(() => process.removeListener('warning', onWarning))
  const app = await buildApp(t)
  addRoutes(app)
  const port = await listen(app)
  await askForH2c(t, await connectRaw(t, port))
  await untilStats(app)
  t.same(warnings, [])
})

t.test('E10 a request for h2c over https is answered as ordinary HTTP', async (t) => {
  const https = await certificate()
  const options: FastifyServerOptions & { https: typeof https } = { https }
  const app: FastifyInstance = Object.assign(Fastify(options))
  t.teardown(() => app.close())
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  await app.register(wsTicket, { allowedOrigins: [ORIGIN] })
  addRoutes(app)
  const port = await listen(app)
  const socket = connectTls({ port, host: '127.0.0.1', ca: https.cert, servername: 'localhost' })
  t.teardown(() => socket.destroy())
  await once(socket, 'secureConnect')
  await askForH2c(t, new RawSocket(socket))
  await untilStats(app)
})

t.test('E10 what has a body, and asks for something else than a WebSocket, is no upgrade where Node asks', async (t) => {
  const app = await buildApp(t)
  await app.ready()
  const isUpgrade: (request: { headers: Record<string, string> }) => boolean = Reflect.get(app.server, 'shouldUpgradeCallback')
  const body = { 'content-length': '2' }
  for (const [upgrade, headers, expected] of [
    ['websocket', {}, true],
    ['websocket', body, true],
    ['h2c, WebSocket', body, true],
    ['h2c', {}, true],
    ['h2c', { 'content-length': '0' }, true],
    ['h2c', body, false],
    ['h2c', { 'transfer-encoding': 'chunked' }, false]
  ] as const) {
    t.equal(isUpgrade({ headers: { upgrade, ...headers } }), expected, `${upgrade} ${JSON.stringify(headers)}`)
  }
})

t.test('E10 what the owner of the server takes for no upgrade is none for us', async (t) => {
  const app = await buildApp(t)
  const asked: [unknown, string][] = []
  Reflect.set(app.server, 'shouldUpgradeCallback', function (this: unknown, { headers }: { headers: { upgrade: string } }) {
    asked.push([this, headers.upgrade])
    return headers.upgrade === 'websocket'
  })
  await app.ready()
  // as where the plugin is registered in a second scope
  gateOf(app.server, systemClock, { maxPendingHandshakes: 1, handshakeTimeoutMs: 5000, maxHeaders: 100 }, app.log).takeOver()
  const isUpgrade: (request: { headers: Record<string, string> }) => boolean = Reflect.get(app.server, 'shouldUpgradeCallback')
  t.equal(isUpgrade({ headers: { upgrade: 'websocket' } }), true)
  t.equal(isUpgrade({ headers: { upgrade: 'h2c' } }), false)
  t.equal(isUpgrade({ headers: { upgrade: 'other', 'content-length': '2' } }), false)
  t.strictSame(
    asked.map(([, upgrade]) => upgrade),
    ['websocket', 'h2c'],
    'once each'
  )
  t.ok(asked.every(([server]) => server === app.server))
})

async function certificate(): Promise<{ key: string; cert: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'certificate-'))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  await promisify(execFile)('openssl', ['req', '-x509', '-nodes', ...kind, '-days', '2', '-keyout', key, '-out', cert, ...subject])
  return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') }
}
