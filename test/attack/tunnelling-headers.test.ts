import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { Connection } from '../../src/index.js'
import { echoContract, echoHandlers, ORIGIN } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { type HttpAnswer, knock, parseHttp } from '../fixtures/attacker.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { exchange, requestBytes } from '../fixtures/raw-socket.js'
import { knockAt, needsProxies, PROXIES, postTicketAt, startSite } from '../fixtures/site.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes, parseAnswer } from '../fixtures/upgrade.js'

const CLIENT = '127.0.0.9'

interface Seen {
  readonly url: string
  readonly ip: string
  readonly scheme: string
  readonly host: string
  /** Headers by which somebody might be believed who is not the proxy. */
  readonly claims: Record<string, unknown>
}

const seen: Seen[] = []

const options = {
  plugin: { ...manyRequests, maxTicketsPerUser: 1000 },
  server: { trustProxy: '127.0.0.1' },
  declare(app: FastifyInstance) {
    app.addHook('onRequest', async ({ url, ip, protocol, host, headers }) => {
      const { forwarded, 'x-forwarded-for': address, 'x-forwarded-proto': proto, 'x-forwarded-host': claimed } = headers
      seen.push({ url, ip, scheme: protocol, host, claims: { forwarded, address, proto, claimed } })
    })
    app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
  }
}

/** All the ways to say who one is and how one has come. */
const forged = {
  'X-Forwarded-For': '198.51.100.7, 127.0.0.1',
  'X-Forwarded-Proto': 'http',
  'X-Forwarded-Host': 'evil.example',
  'X-Forwarded-Port': '80',
  'X-Real-Ip': '198.51.100.7',
  Forwarded: 'for=198.51.100.7;proto=http;host=evil.example'
}

const ways: Record<string, Record<string, string>> = {
  nothing: {},
  'all at once': forged,
  ...Object.fromEntries(Object.entries(forged).map(([name, value]) => [name, { [name]: value }])),
  'in small letters': { 'x-forwarded-for': '198.51.100.7', 'x-forwarded-proto': 'http', forwarded: 'for=198.51.100.7' },
  'a header that Connection takes out': { 'X-Forwarded-For': '198.51.100.7', Connection: 'Upgrade, X-Forwarded-For, X-Forwarded-Proto' }
}

function ofAnn(app: FastifyInstance): Connection[] {
  return app.wsTicket.connections().filter(({ user }) => user.sub === 'ann')
}

/** Asks in clear for a ticket. */
async function postInClear(t: Test, port: number, token: string, claims: Record<string, string>): Promise<HttpAnswer> {
  const headers = { Host: 'localhost', Connection: 'close', Origin: ORIGIN, 'Content-Type': 'application/json', 'Content-Length': '2' }
  const all = { ...headers, Authorization: `Bearer ${token}`, ...claims }
  return parseHttp(await exchange(t, port, `${requestBytes('POST /echo/ticket HTTP/1.1', all)}{}`))
}

const secure = {
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-For': '127.0.0.1',
  Forwarded: 'proto=https;for=127.0.0.1',
  'Front-End-Https': 'on'
}

/** Neither a ticket nor an upgrade is to be had there, whatever the client claims, and nobody is sent elsewhere. */
async function isRefusedAt(t: Test, { app, port }: Scene, plainPort: number, code: string | undefined): Promise<void> {
  const ticket = await issueTicket(app, '/echo')
  const { tickets, connections } = app.wsTicket.stats()
  for (const claims of [{}, secure]) {
    const issued = await postInClear(t, plainPort, app.jwt.sign({ sub: 'ann' }), claims)
    const upgrade = handshakeBytes('/echo', ticket, claims) + requestBytes('GET / HTTP/1.1', { Host: 'localhost', Connection: 'close' })
    const refused = parseAnswer((await exchange(t, plainPort, upgrade)).split(/(?<=.)(?=HTTP\/1\.1)/s)[0] ?? '')
    for (const [what, answer] of Object.entries({ issued, refused })) {
      t.equal(answer.status, 403, what)
      t.notMatch(answer.text, /^location:/im, `${what} is not redirected`)
      if (code !== undefined) t.match(answer.text, code, what)
    }
  }
  t.match(app.wsTicket.stats(), { tickets, connections }, 'nothing is issued or opened')
  const { status, raw } = await knock(t, port, '/echo', ticket)
  raw.socket.destroy()
  t.equal(status, 101, 'the ticket is not burnt')
}

if (needsProxies(t)) {
  for (const proxy of PROXIES) {
    attack(`J4 plain HTTP to ${proxy} is refused, and not redirected`, options, async (t, scene) => {
      const { plainPort, port } = await startSite(t, proxy, scene.port)
      seen.length = 0
      await isRefusedAt(t, scene, plainPort, undefined)
      const passedOn = seen.filter(({ claims }) => claims.proto !== undefined)
      t.same(passedOn, [], 'the app is not asked')
      const inClear = await exchange(
        t,
        port,
        handshakeBytes('/echo', await issueTicket(scene.app, '/echo'), { Connection: 'close, Upgrade' })
      )
      t.notMatch(inClear, /HTTP\/1\.1 (101|2|3)|^location:/im, 'nor is plain HTTP on the port of TLS')
    })

    attack(`J4 a ${proxy} that passes plain HTTP on says so, and the app refuses it`, options, async (t, scene) => {
      const { plainPort } = await startSite(t, proxy, scene.port, { passesPlain: true })
      await isRefusedAt(t, scene, plainPort, 'FST_WS_TICKET_TLS_REQUIRED')
    })

    attack(`J5 behind ${proxy} with TLS forged headers do not get through, and address and scheme are right`, options, async (t, scene) => {
      const { app } = scene
      const site = await startSite(t, proxy, scene.port)
      const connections: string[] = []
      seen.length = 0
      for (const [what, headers] of Object.entries(ways)) {
        const { Connection, ...claims } = headers
        const { status, body } = await postTicketAt(t, site, '/echo', app.jwt.sign({ sub: 'ann' }), { headers: claims, from: CLIENT })
        t.equal(status, 201, `${what}: a ticket`)
        const { status: opened, raw } = await knockAt(t, site, '/echo', body.ticket, { from: CLIENT, changes: headers })
        connections.push(...ofAnn(app).map(({ ip }) => ip))
        raw.socket.destroy()
        t.equal(opened, 101, `${what}: an upgrade${Connection ? ` with ${Connection}` : ''}`)
      }
      const right = { ip: CLIENT, scheme: 'https', host: 'localhost', claims: { address: CLIENT, proto: 'https' } }
      const asked = seen.filter(({ ip }) => ip !== '127.0.0.2')
      t.equal(asked.length, 2 * Object.keys(ways).length)
      for (const { url, ...request } of asked) t.same(JSON.parse(JSON.stringify(request)), right, url)
      t.ok(connections.length >= Object.keys(ways).length)
      t.same([...new Set(connections)], [CLIENT], 'so is the address of a connection')
    })
  }
}
