import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { echoContract } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { connectFrom, isGood } from '../fixtures/attacker.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { fragments, messageFrame } from '../fixtures/frames.js'
import { HeldUpgrades } from '../fixtures/held-upgrades.js'
import type { RawSocket } from '../fixtures/raw-socket.js'
import { countServerSockets, untilServerSockets } from '../fixtures/server-sockets.js'
import { untilNoCloseWait } from '../fixtures/tcp-states.js'
import { issueTicket } from '../fixtures/tickets.js'
import { as } from '../fixtures/timed-app.js'
import { handshakeBytes } from '../fixtures/upgrade.js'
import { WatchedStore } from '../fixtures/watched-store.js'

const LEAVERS = 10
const TIMEOUT_MS = 5000

/** An app whose upgrades may be held in each of their steps, and what became of them. */
class Steps {
  readonly store = new WatchedStore()
  readonly onRequest = new HeldUpgrades()
  readonly preHandler = new HeldUpgrades()
  opened = 0
  closed = 0
  handled = 0

  readonly options = {
    timed: true,
    plugin: { ...manyRequests, store: this.store, handshakeTimeout: TIMEOUT_MS },
    declare: (app: FastifyInstance) => this.#declare(app)
  }

  /** Lets everything go on that is held. */
  goOn(): void {
    this.store.recover()
    this.onRequest.letGo()
    this.preHandler.letGo()
  }

  #declare(app: FastifyInstance): void {
    app.wsRoute('/echo', {
      contract: echoContract,
      onRequest: this.onRequest.hook,
      preHandler: this.preHandler.hook,
      onOpen: () => void this.opened++,
      onClose: () => void this.closed++,
      handlers: { echo: ({ text }) => ({ text }), note: () => void this.handled++ }
    })
  }
}

interface Phase {
  /** Makes the app hold whoever comes that far. */
  readonly hold?: (steps: Steps) => void
  /** Begins on a socket, and resolves once it may leave. */
  readonly begin: (raw: RawSocket, ticket: string, scene: Scene) => Promise<unknown>
  /** Resolves when so many have come that far. */
  readonly whenHeld?: (steps: Steps) => Promise<unknown>
  /** What has become of the ticket. */
  readonly isBurnt: boolean
  /** Was a connection opened? */
  readonly isOpened: boolean
}

const refused = { isBurnt: false, isOpened: false }
const opened = { isBurnt: true, isOpened: true }
const note = { type: 'note', payload: { text: 'never' } }

async function sendHandshake(raw: RawSocket, ticket: string): Promise<void> {
  raw.write(handshakeBytes('/echo', ticket))
}

/** Sends the handshake and then, once it is welcomed, what is no whole message. */
function sendAfterWelcome(bytes: Buffer) {
  return async (raw: RawSocket, ticket: string, { honest }: Scene) => {
    await sendHandshake(raw, ticket)
    await raw.until('$welcome')
    raw.write(bytes)
    await honest.beat()
  }
}

const phases: Record<string, Phase> = {
  'before its headers end': {
    ...refused,
    async begin(raw, ticket, { honest }) {
      raw.write(handshakeBytes('/echo', ticket).slice(0, -10))
      await honest.beat()
    }
  },
  'in an onRequest hook': {
    ...refused,
    begin: sendHandshake,
    hold: ({ onRequest }) => onRequest.hold(),
    whenHeld: ({ onRequest }) => onRequest.whenHeld(LEAVERS)
  },
  'in a preHandler hook': {
    ...refused,
    begin: sendHandshake,
    hold: ({ preHandler }) => preHandler.hold(),
    whenHeld: ({ preHandler }) => preHandler.whenHeld(LEAVERS)
  },
  'while the store looks its ticket up': {
    ...refused,
    begin: sendHandshake,
    hold: ({ store }) => store.hold('find'),
    whenHeld: ({ store }) => store.whenHeld(LEAVERS)
  },
  'while the store redeems its ticket': {
    isBurnt: true,
    isOpened: false,
    begin: sendHandshake,
    hold: ({ store }) => store.hold('redeem'),
    whenHeld: ({ store }) => store.whenHeld(LEAVERS)
  },
  'right after the 101': {
    ...opened,
    async begin(raw, ticket) {
      await sendHandshake(raw, ticket)
      await raw.until('HTTP/1.1 101')
    }
  },
  'in the middle of a frame': { ...opened, begin: sendAfterWelcome(messageFrame(note).subarray(0, -3)) },
  "in the middle of a frame's header": { ...opened, begin: sendAfterWelcome(messageFrame(note).subarray(0, 1)) },
  'in the middle of a message': { ...opened, begin: sendAfterWelcome(Buffer.concat(fragments(JSON.stringify(note), '').slice(0, 1))) }
}

/** How clients leave: with a FIN, or with a RST. */
const leaves = { FIN: 'end', RST: 'resetAndDestroy' } as const

async function leaveIn(t: Test, scene: Scene, steps: Steps, phase: Phase, leave: 'end' | 'resetAndDestroy'): Promise<void> {
  const { app, port, honest } = scene
  const { connections } = app.wsTicket.stats()
  const before = await countServerSockets(app)
  const tickets = await Promise.all(Array.from({ length: LEAVERS }, () => issueTicket(app, '/echo', as({ sub: 'ann' }))))
  phase.hold?.(steps)
  const raws = await Promise.all(
    tickets.map(async (ticket) => {
      const raw = await connectFrom(t, port, '127.0.0.9')
      await phase.begin(raw, ticket, scene)
      return raw
    })
  )
  await phase.whenHeld?.(steps)
  for (const { socket } of raws) socket[leave]()

  await untilServerSockets(app, before)
  // a socket that was reset waits for nothing
  if (leave === 'end') t.equal(await untilNoCloseWait(port), 0, 'no socket waits to be closed')
  steps.goOn()
  await honest.beat()
  t.match(app.wsTicket.stats(), { connections, pendingHandshakes: 0 }, 'late answers open nothing')
  const count = phase.isOpened ? LEAVERS : 0
  t.match(steps, { opened: count, closed: count, handled: 0 }, 'the app is told of each connection once, and of no message')
  t.equal(
    await isGood(t, port, '/echo', String(tickets[0])),
    !phase.isBurnt,
    phase.isBurnt ? 'the ticket is used' : 'the ticket is not burnt'
  )
}

for (const [name, leave] of Object.entries(leaves)) {
  for (const [when, phase] of Object.entries(phases)) {
    const steps = new Steps()
    attack(`E4 ${name} ${when}: gone at once, and nothing is left of it`, steps.options, (t, scene) =>
      leaveIn(t, scene, steps, phase, leave)
    )
  }
}

const early = new Steps()
attack('E4 FIN behind frames that nobody reads yet: gone by the deadline', early.options, async (t, scene) => {
  const { app, port, advance } = scene
  const before = await countServerSockets(app)
  const ticket = await issueTicket(app, '/echo', as({ sub: 'ann' }))
  early.preHandler.hold()
  const raws = await Promise.all(Array.from({ length: LEAVERS }, () => connectFrom(t, port, '127.0.0.9')))
  for (const raw of raws)
    raw.socket.end(Buffer.concat([Buffer.from(handshakeBytes('/echo', ticket)), ...Array.from({ length: 50 }, () => messageFrame(note))]))
  await early.preHandler.whenHeld(LEAVERS)
  await advance(TIMEOUT_MS + 250)
  await untilServerSockets(app, before)
  t.equal(await untilNoCloseWait(port), 0, 'no socket waits to be closed')
  early.goOn()
  t.match(early, { opened: 0, handled: 0 })
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
})
