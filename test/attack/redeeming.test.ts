import { attack } from '../fixtures/attack.js'
import { isGood, knock, postTicket, ticketFor, withoutDate } from '../fixtures/attacker.js'
import { connect, open } from '../fixtures/client.js'
import { captureLog } from '../fixtures/log.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { WatchedStore } from '../fixtures/watched-store.js'

const REPLAYED = 'FST_WS_TICKET_TICKET_REPLAYED'
const invalid = { status: 401, code: 'FST_WS_TICKET_INVALID_TICKET' }
const headers = { 'x-claims': JSON.stringify({ sub: 'ann' }) }
const protocolsOf = (ticket: string) => ['fastify-ws-ticket.v1', `ticket.${ticket}`]

const logged = captureLog()
const replaysIn = ({ lines }: typeof logged) => lines.filter(({ code }) => code === REPLAYED)

attack(
  'C2 a second use is refused and logged, and the first connection stays',
  { server: { logger: logged.logger } },
  async (t, { app, port }) => {
    const ticket = await ticketFor(t, app, '/echo')
    const first = open(t, app, '/echo', protocolsOf(ticket))
    const { connection } = Object((await first.next()).payload)
    t.match(await knock(t, port, '/echo', ticket), invalid)
    t.match(replaysIn(logged), [{ level: 40, user: 'ann', connection, route: '/echo' }], 'a warning that says whose and which')
    t.equal(replaysIn(logged).length, 1)
    t.match(await first.request('echo', { text: 'still here' }), { type: '$reply' })
  }
)

const disconnecting = captureLog()

attack(
  "C2 with replay: 'disconnect' the first connection is closed with 4409, and no other",
  { server: { logger: disconnecting.logger }, plugin: { replay: 'disconnect' } },
  async (t, { app, port }) => {
    const other = await connect(t, app, '/echo')
    t.match(await other.next(), { type: '$welcome' })
    const ticket = await ticketFor(t, app, '/echo')
    const first = open(t, app, '/echo', protocolsOf(ticket))
    t.match(await first.next(), { type: '$welcome' })
    t.match(await knock(t, port, '/echo', ticket), invalid, 'the second is refused all the same')
    t.match(await first.closed, { code: 4409 })
    t.equal(replaysIn(disconnecting).length, 1)
    t.match(await other.request('echo', { text: 'another of the same user' }), { type: '$reply' })
  }
)

const later = captureLog()
const timedReplay = { timed: true, server: { logger: later.logger }, plugin: { replay: 'disconnect' as const } }

attack('C3 a replay is noticed again each time within the life of the ticket', timedReplay, async (t, { app, port, advance }) => {
  const ticket = await ticketFor(t, app, '/echo', { headers })
  const first = open(t, app, '/echo', protocolsOf(ticket))
  const { connection } = Object((await first.next()).payload)
  for (const [index, pauseMs] of [0, 0, 9000, 15_000, 5000, 999].entries()) {
    await advance(pauseMs)
    t.match(await knock(t, port, '/echo', ticket), invalid)
    t.equal(replaysIn(later).length, index + 1, `noticed ${pauseMs} ms later`)
  }
  t.ok(
    replaysIn(later).every((line) => line.connection === connection),
    'each names the first connection'
  )
  t.match(await first.closed, { code: 4409 })
  await advance(1)
  t.match(await knock(t, port, '/echo', ticket), invalid, 'refused for ever')
})

attack('C4 a ticket is good until its life ends, and refused from then on', { timed: true }, async (t, { app, port, advance }) => {
  // not on a full second, when the store sweeps out what has expired
  await advance(300)
  const issue = () => ticketFor(t, app, '/echo', { headers })
  const [early, onTime, late] = [await issue(), await issue(), await issue()]
  await advance(29_999)
  t.ok(await isGood(t, port, '/echo', early), 'a moment before')
  await advance(1)
  t.match(await knock(t, port, '/echo', onTime), invalid, 'at its end')
  await advance(250)
  t.match(await knock(t, port, '/echo', late), invalid, 'a little later')
})

const storeClock = new ManualClock()
const clocked = new WatchedStore(storeClock)

attack("C4 the store's clock decides, not the app's", { timed: true, plugin: { store: clocked } }, async (t, { app, port, advance }) => {
  const kept = await ticketFor(t, app, '/echo', { headers })
  await advance(45_000)
  t.ok(await isGood(t, port, '/echo', kept), "good while the store's clock stands still")
  const expired = await ticketFor(t, app, '/echo', { headers })
  storeClock.advance(30_000)
  t.match(await knock(t, port, '/echo', expired), invalid, "and expired by the store's clock alone")
  const set = await ticketFor(t, app, '/echo', { headers })
  storeClock.setWall(0)
  t.ok(await isGood(t, port, '/echo', set), 'a clock on the wall that is set back changes nothing')
  storeClock.setWall(Date.UTC(2099, 0, 1))
  t.ok(await isGood(t, port, '/echo', await ticketFor(t, app, '/echo', { headers })), 'nor one that is set forward')
})

attack(
  'C10 unknown, used and expired tickets get the same status and the same body',
  { timed: true },
  async (t, { app, port, advance }) => {
    const issue = () => ticketFor(t, app, '/echo', { headers })
    const expired = await issue()
    await advance(20_000)
    const used = await issue()
    t.ok(await isGood(t, port, '/echo', used))
    await advance(10_000)
    const bound = await issue()
    const away = { changes: { Origin: undefined } }
    const answers = [
      await knock(t, port, '/echo', 'x'.repeat(43)),
      await knock(t, port, '/echo', used),
      await knock(t, port, '/echo', expired),
      await knock(t, port, '/echo', 'malformed'),
      await knock(t, port, '/echo')
    ]
    for (const answer of answers) t.match(answer, invalid)
    t.equal(new Set(answers.map(({ text }) => withoutDate(text))).size, 1, 'to the byte')
    t.match(await knock(t, port, '/echo', bound, away), { status: 403 }, 'another answer would have been told apart')
  }
)

attack(
  'C12 a JWT is no ticket, and a ticket is no Bearer token',
  { plugin: { ticketTransport: ['subprotocol', 'query'] } },
  async (t, scene) => {
    const { app, port } = scene
    const jwt = app.jwt.sign({ sub: 'ann' })
    const ticket = await ticketFor(t, app, '/echo')
    const { tickets } = app.wsTicket.stats()
    t.match(await knock(t, port, '/echo', jwt), invalid, 'a JWT as a subprotocol')
    t.match(await knock(t, port, `/echo?ticket=${jwt}`), invalid, 'a JWT in the query')
    for (const part of jwt.split('.')) t.match(await knock(t, port, '/echo', part), invalid, 'a part of it')
    for (const bearer of [jwt, ticket]) {
      t.match(
        await knock(t, port, '/echo', undefined, { changes: { Authorization: `Bearer ${bearer}` } }),
        invalid,
        'a Bearer token on the upgrade'
      )
    }
    for (const token of [ticket, `ticket.${ticket}`, `${ticket}.${ticket}.${ticket}`]) {
      const { status, body } = await postTicket(t, app, '/echo', { token })
      t.match({ status, code: body.code }, { status: 401, code: 'FST_WS_TICKET_UNAUTHENTICATED' }, 'a ticket as a Bearer token')
    }
    t.equal(app.wsTicket.stats().tickets, tickets, 'nothing is issued')
    t.ok(await isGood(t, port, '/echo', ticket), 'and it is not burnt')
  }
)

const OTHER = 'https://other.example.com'
const origins = { plugin: { allowedOrigins: ['https://app.example.com', OTHER], allowMissingOrigin: true, maxTicketsPerUser: 100 } }

attack('C13 a ticket is good only for the Origin, or for none, that asked for it', origins, async (t, { app, port }) => {
  const all = ['https://app.example.com', OTHER, undefined]
  for (const issuedTo of all) {
    const ticket = await ticketFor(t, app, '/echo', { headers: { Origin: issuedTo } })
    for (const usedFrom of all.filter((origin) => origin !== issuedTo)) {
      t.match(
        await knock(t, port, '/echo', ticket, { changes: { Origin: usedFrom } }),
        invalid,
        `issued to ${issuedTo}, used from ${usedFrom}`
      )
    }
    t.ok(await isGood(t, port, '/echo', ticket, { changes: { Origin: issuedTo } }), 'and it is not burnt')
  }
})
