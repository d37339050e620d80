import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { IssueOutcome, TicketRecord } from '../../src/ticket/store.js'
import { hashTicket } from '../../src/ticket/ticket.js'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { connectFrom, isGood, postTicket, ticketFor } from '../fixtures/attacker.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { HeldUpgrades } from '../fixtures/held-upgrades.js'
import { inTime } from '../fixtures/in-time.js'
import type { RawSocket } from '../fixtures/raw-socket.js'
import { isRefusal } from '../fixtures/refusals.js'
import { issueTicket } from '../fixtures/tickets.js'
import { as } from '../fixtures/timed-app.js'
import { handshakeBytes } from '../fixtures/upgrade.js'
import { WatchedStore } from '../fixtures/watched-store.js'

const MAX_PENDING = 20
const FLOOD = 100
const TIMEOUT_MS = 5000
const unavailable = { status: 503, code: 'FST_WS_TICKET_UNAVAILABLE' }

/** Writes a handshake on a socket of its own. What it is answered is added to the answers. */
async function sendHandshake(t: Test, port: number, ticket: string, answers: string[]): Promise<RawSocket> {
  const raw = await connectFrom(t, port)
  void raw.ended.then((answer) => answers.push(answer))
  raw.write(handshakeBytes('/echo', ticket))
  return raw
}

async function untilCount(answers: string[], count: number): Promise<void> {
  while (answers.length < count) await delay(1)
}

for (const step of ['find', 'redeem'] as const) {
  const opened: string[] = []
  const store = new WatchedStore()
  const options = {
    timed: true,
    plugin: { ...manyRequests, store, maxPendingHandshakes: MAX_PENDING, handshakeTimeout: TIMEOUT_MS },
    declare: (app: FastifyInstance) =>
      app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, onOpen: ({ id }) => void opened.push(id) })
  }

  attack(`E2 the store hangs at ${step}: pending handshakes are capped, and get 503 by the deadline`, options, async (t, scene) => {
    const { app, port, advance, honest } = scene
    const { connections } = app.wsTicket.stats()
    const tickets = await Promise.all(Array.from({ length: FLOOD }, () => issueTicket(app, '/echo', as({ sub: 'ann' }))))
    store.hold(step)
    const answers: string[] = []
    const raws = await Promise.all(tickets.map((ticket) => sendHandshake(t, port, ticket, answers)))
    await untilCount(answers, FLOOD - MAX_PENDING)
    await honest.beat()
    t.equal(answers.length, FLOOD - MAX_PENDING)
    t.match({ held: store.held, ...app.wsTicket.stats() }, { held: MAX_PENDING, pendingHandshakes: MAX_PENDING })

    await advance(TIMEOUT_MS - 1000)
    t.equal(answers.length, FLOOD - MAX_PENDING, 'the others are waited for')
    await advance(1250)
    await Promise.all(raws.map(({ ended }) => ended))
    for (const answer of answers) isRefusal(t, answer, unavailable, 'refused')
    t.ok(
      answers.every((answer) => /^retry-after: [1-9]/im.test(answer)),
      'each is told when to come back'
    )

    store.recover()
    await honest.beat()
    t.match(app.wsTicket.stats(), { connections, pendingHandshakes: 0 }, 'late answers open nothing')
    t.same(opened, [])
    const found = await Promise.all(tickets.map((ticket) => store.find(hashTicket(ticket))))
    const used = found.filter(({ outcome }) => outcome === 'used')
    t.equal(used.length, step === 'find' ? 0 : MAX_PENDING, 'used are only those that the store was asked to use')
    const live = tickets.find((_, index) => found[index]?.outcome === 'live')
    t.ok(await isGood(t, port, '/echo', String(live)), 'the others are not burnt')
  })
}

/** What a request for a ticket waits for; `late` is how many tickets are kept once the answers come after all. */
const steps = { authenticate: { late: 0 }, authorize: { late: 0 }, 'store.issue': { late: FLOOD } }

/** A step of theirs that does not settle while it is held. */
class HeldSteps extends HeldUpgrades {
  readonly #step: string

  constructor(step: string) {
    super()
    this.#step = step
  }

  async pass(step: string): Promise<void> {
    await this.hook({ ws: step === this.#step })
  }
}

class HeldIssueStore extends WatchedStore {
  readonly #held: HeldSteps

  constructor(held: HeldSteps) {
    super()
    this.#held = held
  }

  override async issue(hash: string, record: TicketRecord, ttlMs: number): Promise<IssueOutcome> {
    await this.#held.pass('store.issue')
    return await super.issue(hash, record, ttlMs)
  }
}

for (const [step, { late }] of Object.entries(steps)) {
  const held = new HeldSteps(step)
  const options = {
    timed: true,
    plugin: {
      ...manyRequests,
      store: new HeldIssueStore(held),
      handshakeTimeout: TIMEOUT_MS,
      async authenticate({ headers }: { headers: Record<string, unknown> }) {
        await held.pass('authenticate')
        return JSON.parse(String(headers['x-claims']))
      }
    },
    declare: (app: FastifyInstance) =>
      app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, authorize: () => held.pass('authorize') })
  }

  attack(`E2 ${step} hangs: requests for tickets get 503 by the deadline, and nothing is held`, options, async (t, scene) => {
    const { app, port, advance, honest } = scene
    const { tickets } = app.wsTicket.stats()
    const post = (index: number) => ({ ...(index % 2 ? { body: '{}' } : {}), headers: { 'x-claims': `{"sub":"user-${index}"}` } })
    held.hold()
    t.teardown(() => held.letGo())
    let answered = 0
    const asked = Array.from({ length: FLOOD }, async (_, index) => {
      const answer = await postTicket(t, app, '/echo', post(index))
      answered++
      return answer
    })
    await held.whenHeld(FLOOD)
    await advance(TIMEOUT_MS - 1000)
    t.equal(answered, 0, 'they are waited for')
    await advance(1250)
    if (!t.ok(await inTime(Promise.all(asked), 60_000), 'all are answered, with a body or without')) return
    for (const { status, headers, body } of await Promise.all(asked)) {
      t.match({ status, code: body.code }, unavailable)
      t.match(headers, { 'retry-after': /^[1-9]/ })
    }
    t.equal(app.wsTicket.stats().tickets, tickets, 'nothing is issued')

    held.letGo()
    await honest.beat()
    t.equal(app.wsTicket.stats().tickets, tickets + late, 'nor by what comes late, but for what the store itself keeps')
    t.ok(await isGood(t, port, '/echo', await ticketFor(t, app, '/echo', post(0))), 'and all is as before')
  })
}
