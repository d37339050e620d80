import type { FastifyInstance } from 'fastify'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { connectFrom, isGood } from '../fixtures/attacker.js'
import { exchange } from '../fixtures/raw-socket.js'
import { isRefusal } from '../fixtures/refusals.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes } from '../fixtures/upgrade.js'

const bad = { status: 400, code: 'FST_WS_TICKET_BAD_HANDSHAKE' }
const secrets: string[] = []

const options = {
  declare(app: FastifyInstance) {
    app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
    app.get('/rest', async () => 'rest')
    app.route({
      method: ['GET', 'POST'],
      url: '/secret',
      handler: async ({ method }) => {
        secrets.push(method)
        return 'a secret'
      }
    })
  }
}

/** The first bytes of a client of HTTP/2 (RFC 9113, section 3.4), and a request for `/secret`. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
/** HPACK: GET, http, `/secret`, and the authority `localhost`. */
const FIELDS = Buffer.concat([Buffer.from([0x82, 0x86, 0x04, 7]), Buffer.from('/secret'), Buffer.from([0x01, 9]), Buffer.from('localhost')])
const HEADERS = Buffer.concat([Buffer.from([0, 0, FIELDS.length, 1, 5, 0, 0, 0, 1]), FIELDS])
const HTTP2 = Buffer.concat([PREFACE, SETTINGS, HEADERS])

const h2c = { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' }

attack('J2 an upgrade to h2c beside websocket is refused, and HTTP/2 behind it gets nothing', options, async (t, { app, port }) => {
  const ticket = await issueTicket(app, '/echo')
  const upgrades = [
    'websocket, h2c',
    'h2c, websocket',
    'websocket,h2c',
    'h2c websocket',
    'websocket/13',
    'h2c, WebSocket',
    'websocket, websocket'
  ]
  for (const path of ['/echo', '/rest']) {
    for (const Upgrade of upgrades) {
      const bytes = Buffer.concat([Buffer.from(handshakeBytes(path, ticket, { ...h2c, Upgrade })), HTTP2])
      isRefusal(t, await exchange(t, port, bytes), bad, `${Upgrade} at ${path}`)
    }
  }
  const two = handshakeBytes('/echo', ticket).replace('Upgrade: websocket', 'Upgrade: h2c\r\nUpgrade: websocket')
  isRefusal(t, await exchange(t, port, Buffer.concat([Buffer.from(two), HTTP2])), bad, 'two Upgrade headers')
  t.same(secrets, [])
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
})

attack('J2 h2c is never spoken: what is answered is HTTP/1.1, and HTTP/2 behind it gets nothing', options, async (t, { app, port }) => {
  const ticket = await issueTicket(app, '/echo')
  for (const [path, status] of [
    ['/rest', 200],
    ['/echo', 426],
    ['/unknown', 404]
  ] as const) {
    const raw = await connectFrom(t, port)
    raw.write(handshakeBytes(path, ticket, h2c))
    const first = statusesIn(await raw.until('\r\n\r\n'))
    raw.write(HTTP2)
    const all = await raw.ended
    t.same(first, [status], path)
    t.ok(isHttp1Only(all) && ['', '400'].includes(statusesIn(all).slice(1).join()), 'what comes behind it is no request')

    const pipelined = await exchange(t, port, Buffer.concat([Buffer.from(handshakeBytes(path, ticket, h2c)), HTTP2]))
    const possible = [[status], [status, 400], [400]].map((statuses) => statuses.join())
    t.ok(isHttp1Only(pipelined) && possible.includes(statusesIn(pipelined).join()), 'nor in one segment with it')
  }
  t.same(secrets, [])
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
})

function statusesIn(answer: string): number[] {
  return [...answer.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status))
}

/** Is there no 101 in it, and no frame of HTTP/2? Its server begins with SETTINGS (RFC 9113, section 3.4). */
function isHttp1Only(answer: string): boolean {
  return !statusesIn(answer).includes(101) && !answer.includes('\0')
}
