import { buildEchoApp, echoContract, echoHandlers } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { addressOf, isGood, knock, ticketFor } from '../fixtures/attacker.js'
import { listen } from '../fixtures/client.js'
import { untilStats } from '../fixtures/upgrade.js'

const many = { max: 10_000, timeWindow: 60_000 }
const invalid = { status: 401, code: 'FST_WS_TICKET_INVALID_TICKET' }
const misplaced = { status: 400, code: 'FST_WS_TICKET_MISPLACED_TICKET' }
const echo = { contract: echoContract, handlers: echoHandlers }
const plenty = { maxTicketsPerUser: 1000, issuePerIp: many, issuePerUser: many }

const narrow = {
  plugin: { ...plenty, upgradePerIp: { max: 30, timeWindow: 60_000 } },
  declare(app: Scene['app']) {
    app.wsRoute('/echo', { ...echo, maxConnections: 2, maxConnectionsPerIp: 1, maxConnectionsPerUser: 1 })
    app.wsRoute('/other', echo)
    app.get('/rest', async () => 'rest')
  }
}

attack('C5 a ticket is good after it was refused for origin, route, version, key or form', narrow, async (t, { app, port }) => {
  const ticket = await ticketFor(t, app, '/echo')
  const wrong: [name: string, status: number, path: string, changes: Record<string, string | undefined>, line?: string][] = [
    ['a foreign Origin', 403, '/echo', { Origin: 'https://evil.example' }],
    ['the Origin null', 403, '/echo', { Origin: 'null' }],
    ['no Origin', 403, '/echo', { Origin: undefined }],
    ['another route', 401, '/other', {}],
    ['no such route', 404, '/unknown', {}],
    ['a route without WebSocket', 404, '/rest', {}],
    ['its own ticket route', 404, '/echo/ticket', {}],
    ['version 8', 426, '/echo', { 'Sec-WebSocket-Version': '8' }],
    ['version 14', 426, '/echo', { 'Sec-WebSocket-Version': '14' }],
    ['no version', 426, '/echo', { 'Sec-WebSocket-Version': undefined }],
    ['two versions', 426, '/echo', { 'Sec-WebSocket-Version': '13, 8' }],
    ['no key', 400, '/echo', { 'Sec-WebSocket-Key': undefined }],
    ['a short key', 400, '/echo', { 'Sec-WebSocket-Key': 'c2hvcnQ=' }],
    ['a body', 400, '/echo', { 'Content-Length': '2' }],
    ['POST', 400, '/echo', {}, 'POST /echo HTTP/1.1'],
    ['HTTP/1.0', 400, '/echo', {}, 'GET /echo HTTP/1.0'],
    ['two protocols', 400, '/echo', { Upgrade: 'websocket, h2c' }],
    ['a protocol of its own', 400, '/echo', { 'Sec-WebSocket-Protocol': `chat, ticket.${ticket}` }],
    ['101 headers', 431, '/echo', Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`X-${i}`, '1']))]
  ]
  for (const [name, status, path, changes, line] of wrong) {
    const answer = await knock(t, port, path, ticket, { changes, ...(line && { line }) })
    t.equal(answer.status, status, `${name}: ${answer.text.slice(0, 200)}`)
  }
  t.ok(await isGood(t, port, '/echo', ticket), 'the same ticket is good')
})

attack('C5 a ticket is good after it was refused for a limit', narrow, async (t, { app, port }) => {
  const [a, b, c] = [addressOf(0), addressOf(1), addressOf(2)]
  const ticket = await ticketFor(t, app, '/echo')
  const ann = await knock(t, port, '/echo', await ticketFor(t, app, '/echo'), { from: a })
  const refused = (code: string, status: number) => ({ status, code: `FST_WS_TICKET_${code}` })
  t.match(await knock(t, port, '/echo', ticket, { from: b }), refused('USER_CONNECTION_LIMIT', 429))
  t.match(await knock(t, port, '/echo', ticket, { from: a }), refused('IP_CONNECTED', 429))
  const bob = await knock(t, port, '/echo', await ticketFor(t, app, '/echo', { claims: { sub: 'bob' } }), { from: b })
  t.match(await knock(t, port, '/echo', ticket, { from: c }), refused('SERVER_FULL', 503))
  for (let i = 0; i < 29; i++) await knock(t, port, '/echo', 'x'.repeat(43), { from: c })
  t.match(await knock(t, port, '/echo', ticket, { from: c }), refused('TOO_MANY_REQUESTS', 429))
  t.same([ann.status, bob.status], [101, 101])
  for (const { raw } of [ann, bob]) raw.socket.destroy()
  await untilStats(app, { connections: 1, users: 1, ips: 1 })
  t.ok(await isGood(t, port, '/echo', ticket), 'the same ticket is good')
})

const rooms = {
  plugin: plenty,
  declare(app: Scene['app']) {
    app.wsRoute('/a', echo)
    app.wsRoute('/b', echo)
    app.wsRoute('/rooms/:room', echo)
    app.wsRoute('/tenants/:tenant/rooms/:room', echo)
    app.wsRoute('/hosted', { ...echo, constraints: { host: 'a.example' } })
    app.wsRoute('/hosted', { ...echo, constraints: { host: 'b.example' } })
  }
}

attack('C6 a ticket for one route or path is refused on every other, and is not burnt', rooms, async (t, { app, port }) => {
  const cases: Record<string, string[]> = {
    '/a': ['/b', '/rooms/a'],
    '/rooms/1': ['/rooms/2', '/rooms/1%20', '/rooms/01', '/rooms/1%00', '/a', '/tenants/1/rooms/1'],
    '/rooms/A': ['/rooms/a'],
    '/tenants/1/rooms/2': ['/tenants/2/rooms/1', '/tenants/2/rooms/2', '/tenants/1/rooms/1', '/rooms/2', '/tenants/1%2Frooms%2F2/rooms/2']
  }
  for (const [path, others] of Object.entries(cases)) {
    const ticket = await ticketFor(t, app, path)
    for (const other of others) t.match(await knock(t, port, other, ticket), invalid, `of ${path}, on ${other}`)
    t.ok(await isGood(t, port, path, ticket), `${path}: not burnt`)
  }
})

attack("C6 a ticket of one tenant's app is refused by another's, and is not burnt", rooms, async (t, { app, port }) => {
  const ticket = await ticketFor(t, app, '/a')
  const other = await buildEchoApp(t, { server: {}, plugin: {} })
  other.wsRoute('/a', echo)
  const otherPort = await listen(other)
  t.match(await knock(t, otherPort, '/a', ticket), invalid, 'another app with the same route')
  const theirs = await ticketFor(t, other, '/a')
  t.match(await knock(t, port, '/a', theirs), invalid, 'nor the other way')
  t.ok(await isGood(t, otherPort, '/a', theirs))
  t.ok(await isGood(t, port, '/a', ticket))

  const hosted = await ticketFor(t, app, '/hosted', { headers: { Host: 'a.example' } })
  t.match(await knock(t, port, '/hosted', hosted, { changes: { Host: 'b.example' } }), invalid, 'the same path of another host')
  t.ok(await isGood(t, port, '/hosted', hosted, { changes: { Host: 'a.example' } }))
  await other.close()
})

attack(
  'C7 a ticket in the query is refused where the query transport is off, and is not burnt',
  { plugin: plenty },
  async (t, { app, port }) => {
    const ticket = await ticketFor(t, app, '/echo')
    for (const query of [
      `ticket=${ticket}`,
      `a=b&ticket=${ticket}`,
      `%74icket=${ticket}`,
      `ticket=${ticket}&ticket=x`,
      'ticket=',
      'ticket'
    ]) {
      t.match(await knock(t, port, `/echo?${query}`), misplaced, query.replace(ticket, '…'))
      t.match(await knock(t, port, `/echo?${query}`, ticket), misplaced, `${query.replace(ticket, '…')}, and in its place too`)
    }
    t.ok(await isGood(t, port, '/echo', ticket))
  }
)

const both = { plugin: { ...plenty, ticketTransport: ['subprotocol' as const, 'query' as const] } }

attack('C8 a ticket in two places at once is answered 400, and neither is burnt', both, async (t, { app, port }) => {
  const [one, two] = [await ticketFor(t, app, '/echo'), await ticketFor(t, app, '/echo')]
  const offering = (value: string) => ({ changes: { 'Sec-WebSocket-Protocol': `fastify-ws-ticket.v1, ${value}` } })
  for (const other of [one, two, 'malformed', '']) {
    t.match(await knock(t, port, `/echo?ticket=${other}`, one), misplaced, 'in the query and as a subprotocol')
    t.match(await knock(t, port, `/echo?ticket=${one}`, other), misplaced, 'as a subprotocol and in the query')
    t.match(await knock(t, port, `/echo?ticket=${one}&ticket=${other}`), misplaced, 'twice in the query')
    t.match(await knock(t, port, `/echo?ticket=${one}&%74icket=${other}`), misplaced, 'twice in the query, spelled otherwise')
    t.match(await knock(t, port, '/echo', undefined, offering(`ticket.${one}, ticket.${other}`)), misplaced, 'twice as subprotocols')
  }
  const twoHeaders = { 'sec-websocket-protocol': `ticket.${two}` }
  t.match(await knock(t, port, '/echo', one, { changes: twoHeaders }), misplaced, 'in two headers')
  t.ok(await isGood(t, port, '/echo', one))
  t.ok(await isGood(t, port, `/echo?ticket=${two}`, two.slice(0, 0), { changes: { 'Sec-WebSocket-Protocol': undefined } }))
})
