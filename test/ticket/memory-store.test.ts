import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import t from 'tap'
import { MemoryTicketStore } from '../../src/ticket/memory-store.js'
import { createTicket, hashTicket } from '../../src/ticket/ticket.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { outsideTap, STRIP_TYPES } from '../fixtures/processes.js'
import { recordOf, testTicketStore } from '../fixtures/store-contract.js'

const LIMITS = { maxTickets: 1000, maxTicketsPerUser: 10 }

t.test('the memory store keeps the contract of ticket stores', async (t) => {
  await testTicketStore(t, async (t, limits) => {
    const clock = new ManualClock()
    const store = new MemoryTicketStore({ clock, ...limits })
    t.teardown(() => store.close())
    return { store, keepsHere: true, elapse: async (ms) => clock.advance(ms) }
  })
})

t.test('B1 a dump of the store shows no ticket', async (t) => {
  const store = new MemoryTicketStore({ clock: new ManualClock(), ...LIMITS })
  const ticket = createTicket()
  await store.issue(hashTicket(ticket), recordOf('ann'), 30_000)
  await store.redeem(hashTicket(ticket), 'a connection')
  const dump = inspect(store, { depth: 20, showHidden: true }) + JSON.stringify(await store.find(hashTicket(ticket)))
  t.notMatch(dump, ticket)
})

t.test('B3 a flood of tickets is bounded, and every ticket that was issued stays good', async (t) => {
  const store = new MemoryTicketStore({ clock: new ManualClock(), ...LIMITS })
  const tickets = Array.from({ length: 1500 }, (_, i) => ({ hash: hashTicket(`ticket ${i}`), user: `user ${i}` }))
  const outcomes = await Promise.all(tickets.map(({ hash, user }) => store.issue(hash, recordOf(user), 30_000)))
  t.equal(outcomes.filter(({ outcome }) => outcome === 'issued').length, 1000)
  t.ok(outcomes.slice(1000).every(({ outcome }) => outcome === 'full'))
  t.equal(store.size(), 1000)
  const found = await Promise.all(tickets.slice(0, 1000).map(({ hash }) => store.redeem(hash, 'a connection')))
  t.ok(found.every(({ outcome }) => outcome === 'live'))
})

t.test('one timer sweeps out what has expired, used or not, and ends with the store', async (t) => {
  const clock = new ManualClock()
  const store = new MemoryTicketStore({ clock, ...LIMITS })
  t.equal(clock.timers, 1)
  await store.issue('used', recordOf('ann'), 1500)
  await store.redeem('used', 'a connection')
  await store.issue('unused', recordOf('ann'), 1500)
  await store.issue('live', recordOf('ann'), 10_000)
  t.equal(clock.timers, 1, 'not one for each ticket')
  clock.advance(1000)
  t.equal(store.size(), 3)
  clock.advance(1000)
  t.equal(store.size(), 1)
  t.match(await store.find('live'), { outcome: 'live' })
  clock.advance(10_000)
  t.equal(store.size(), 0)
  await store.close()
  t.equal(clock.timers, 0)
})

t.test('a ticket that has expired is unknown before the next sweep, and leaves room for its user', async (t) => {
  const clock = new ManualClock()
  const store = new MemoryTicketStore({ clock, maxTickets: 10, maxTicketsPerUser: 1 })
  await store.issue('one', recordOf('ann'), 500)
  t.same(await store.issue('two', recordOf('ann'), 500), { outcome: 'user-full', retryAfterMs: 500 })
  clock.advance(500)
  t.equal(store.size(), 1, 'it is still there')
  t.same(await store.redeem('one', 'a connection'), { outcome: 'unknown' })
  t.same(await store.issue('two', recordOf('ann'), 500), { outcome: 'issued' })
})

t.test('a process that does no more than keep a store ends by itself', async (t) => {
  const script = fileURLToPath(new URL('../fixtures/keep-store.ts', import.meta.url))
  const child = spawn(...outsideTap(process.execPath, [STRIP_TYPES, script]), { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const output: string[] = []
  child.stdout.on('data', (chunk) => output.push(String(chunk)))
  const [code] = await once(child, 'close')
  t.equal(code, 0)
  t.equal(output.join(''), 'kept 1\n')
})
