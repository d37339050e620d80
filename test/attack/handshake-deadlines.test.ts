import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { hashTicket } from '../../src/ticket/ticket.js'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { connectFrom, isGood } from '../fixtures/attacker.js'
import { manyRequests } from '../fixtures/counted-echo.js'
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
