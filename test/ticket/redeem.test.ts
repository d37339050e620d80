import t from 'tap'
import { RouteMetrics } from '../../src/metrics/route-metrics.js'
import { MemoryTicketStore } from '../../src/ticket/memory-store.js'
import { type Presented, type RedeemStage, redeem } from '../../src/ticket/redeem.js'
import type { TicketRecord, TicketStore } from '../../src/ticket/store.js'
import { createTicket, hashTicket } from '../../src/ticket/ticket.js'
import { buildApp } from '../fixtures/app.js'
import { captureLog } from '../fixtures/log.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { recordOf } from '../fixtures/store-contract.js'

const refused = { code: 'FST_WS_TICKET_INVALID_TICKET', statusCode: 401 }

/** A stage with one ticket in its store. */
async function buildStage(t: Parameters<typeof buildApp>[0], record: Partial<TicketRecord> = {}, broken: Partial<TicketStore> = {}) {
  const log = captureLog()
  const app = await buildApp(t, { server: { logger: log.logger } })
  const memory = new MemoryTicketStore({ clock: new ManualClock(), maxTickets: 10, maxTicketsPerUser: 10 })
  const ticket = createTicket()
  await memory.issue(hashTicket(ticket), recordOf('ann', record), 30_000)
  const replays: string[] = []
  const asked: string[] = []
  const store: TicketStore = {
    issue: (...all) => memory.issue(...all),
    find: (hash) => {
      asked.push(hash)
      return memory.find(hash)
    },
    redeem: (...all) => memory.redeem(...all),
    voidUser: (userId) => memory.voidUser(userId),
    size: () => memory.size(),
    close: () => memory.close(),
    ...broken
  }
  const stage: RedeemStage = {
    store,
    log: app.log,
    metrics: new RouteMetrics({}, '/chat'),
    replayed: (connection) => void replays.push(connection)
  }
  const presented: Presented = {
    ticket,
    route: '/chat',
    path: '[]',
    origin: 'https://app.example.com',
    ipKey: '127.0.0.1',
    connection: 'first',
    isRefresh: false
  }
  return { stage, presented, replays, asked, log, memory }
}

const nothing = () => {}

t.test('C6 C13 C15 a ticket is good only for what it was issued for, and is not burnt elsewhere', async (t) => {
  const { stage, presented, memory } = await buildStage(t, { ip: '2001:db8::' })
  const right = { ...presented, ipKey: '2001:db8::' }
  const wrong: Partial<Presented>[] = [
    { route: '/other' },
    { path: '[["room","1"]]' },
    { origin: 'https://evil.example' },
    { origin: null },
    { ipKey: '2001:db8:1::' },
    { ipKey: '127.0.0.1' }
  ]
  for (const change of wrong) await t.rejects(redeem(stage, { ...right, ...change }, nothing), refused, JSON.stringify(change))
  t.match(await memory.find(hashTicket(presented.ticket)), { outcome: 'live' })
  t.strictSame(await redeem(stage, right, nothing), recordOf('ann', { ip: '2001:db8::' }))
})

t.test('C5 what refuses before the use leaves the ticket good', async (t) => {
  const { stage, presented } = await buildStage(t)
  const full = new Error('full')
  const refusing = () => {
    throw full
  }
  await t.rejects(redeem(stage, presented, refusing), full)
  t.match(await redeem(stage, presented, ({ userId }) => t.equal(userId, 'ann')), { userId: 'ann' })
})

t.test('B2 what is no ticket by its form is refused without asking the store', async (t) => {
  const { stage, presented, asked } = await buildStage(t)
  for (const ticket of ['', '__proto__', 'constructor', 'toString', 'a\r\nb', '\u0000', ':', '*', 'x'.repeat(65_536)]) {
    await t.rejects(redeem(stage, { ...presented, ticket }, nothing), refused)
  }
  t.same(asked, [])
})

t.test('C2 C3 C10 unknown and used tickets are refused alike; every replay is noticed, and names no ticket', async (t) => {
  const { stage, presented, replays, log } = await buildStage(t)
  await redeem(stage, presented, nothing)
  for (const connection of ['second', 'third']) await t.rejects(redeem(stage, { ...presented, connection }, nothing), refused)
  await t.rejects(redeem(stage, { ...presented, ticket: createTicket() }, nothing), refused)
  t.same(replays, ['first', 'first'])
  const events = log.lines.filter(({ code }) => code === 'FST_WS_TICKET_TICKET_REPLAYED')
  t.match(events, [
    { level: 40, user: 'ann', connection: 'first', route: '/chat' },
    { level: 40, user: 'ann', connection: 'first', route: '/chat' }
  ])
  t.notMatch(JSON.stringify(log.lines), presented.ticket)
})

t.test('C1 a ticket that somebody else uses between the look and the use is refused', async (t) => {
  const { stage, presented, replays, memory } = await buildStage(t)
  const hash = hashTicket(presented.ticket)
  await t.rejects(
    redeem(stage, presented, () => void memory.redeem(hash, 'faster')),
    refused
  )
  t.same(replays, ['faster'])
})

t.test('I1 a store that fails lets nobody in, and says nothing of why', async (t) => {
  const broken = () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7'))
  for (const failing of [{ find: broken }, { redeem: broken }]) {
    const { stage, presented, log } = await buildStage(t, {}, failing)
    await t.rejects(redeem(stage, presented, nothing), {
      code: 'FST_WS_TICKET_UNAVAILABLE',
      statusCode: 503,
      message: /^(?!.*ECONNREFUSED)/,
      retryAfterMs: 1000
    })
    t.match(
      log.lines.find(({ msg }) => msg === 'the ticket store failed'),
      { level: 50 }
    )
  }
})
