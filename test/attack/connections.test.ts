import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { WsTicketOptions } from '../../src/index.js'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { addressOf, connectFrom, isGood, type Knock, knock } from '../fixtures/attacker.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { closeFrame } from '../fixtures/frames.js'
import { HeldUpgrades } from '../fixtures/held-upgrades.js'
import { isRefusal } from '../fixtures/refusals.js'
import { countServerSockets, untilServerSockets } from '../fixtures/server-sockets.js'
import { issueTicket, requestTicket } from '../fixtures/tickets.js'
import { as } from '../fixtures/timed-app.js'
import { type HeaderChanges, handshakeBytes } from '../fixtures/upgrade.js'

const CAP = 3
const TIMEOUT_MS = 2000

interface Cap {
  readonly plugin: Partial<WsTicketOptions>
  /** Who comes, and from where. */
  readonly visitor: (index: number) => { sub: string; from: string }
  readonly wanted: { status: number; code: string }
  /** What the ticket route answers where there is no room. */
  readonly issue: number
}

const caps: Record<string, Cap> = {
  'per user': {
    plugin: { maxConnectionsPerUser: CAP },
    visitor: (index) => ({ sub: 'ann', from: addressOf(index) }),
    wanted: { status: 429, code: 'FST_WS_TICKET_USER_CONNECTION_LIMIT' },
    issue: 409
  },
  'per address': {
    plugin: { maxConnectionsPerIp: CAP },
    visitor: (index) => ({ sub: `user-${index}`, from: addressOf(0) }),
    wanted: { status: 429, code: 'FST_WS_TICKET_IP_CONNECTED' },
    issue: 429
  },
  'in all': {
    // the honest client has one of them
    plugin: { maxConnections: CAP + 1 },
    visitor: (index) => ({ sub: `user-${index}`, from: addressOf(index) }),
    wanted: { status: 503, code: 'FST_WS_TICKET_SERVER_FULL' },
    issue: 503
  }
}

/** What the app has its say in. */
class AppChecks extends HeldUpgrades {
  /** How often it was asked who may connect. */
  authorized = 0

  readonly authorize = (): void => {
    this.authorized++
  }
}

/** Visits to one app. */
class Visits {
  readonly #t: Test
  readonly scene: Scene
  readonly held: AppChecks
  readonly #cap: Cap

  constructor(t: Test, scene: Scene, cap: Cap, held: AppChecks) {
    this.#t = t
    this.scene = scene
    this.held = held
    this.#cap = cap
  }

  ticket(index: number): Promise<string> {
    const { sub, from } = this.#cap.visitor(index)
    return issueTicket(this.scene.app, '/echo', as({ sub }, { remoteAddress: from }))
  }

  async knock(index: number, ticket: string, changes: HeaderChanges = {}): Promise<Knock> {
    return await knock(this.#t, this.scene.port, '/echo', ticket, { from: this.#cap.visitor(index).from, changes })
  }

  /** Opens a connection. */
  async open(index = 0): Promise<Knock['raw']> {
    const { raw, status } = await this.knock(index, await this.ticket(index))
    this.#t.equal(status, 101)
    return raw
  }

  /** Sends a handshake that a hook holds. */
  async beginHeld(): Promise<Knock['raw']> {
    const ticket = await this.ticket(0)
    this.held.hold()
    const raw = await connectFrom(this.#t, this.scene.port, this.#cap.visitor(0).from)
    raw.write(handshakeBytes('/echo', ticket))
    await this.held.whenHeld(1)
    return raw
  }

  /** As many connections as there may be beside the one that is there are let in, and not one more. */
  async fill(what: string): Promise<void> {
    const t = this.#t
    const { app } = this.scene
    const tickets = await Promise.all(Array.from({ length: CAP }, (_, index) => this.ticket(index + 2)))
    const last = String(tickets.pop())
    const before = await countServerSockets(app)
    const open = await Promise.all(tickets.map((ticket, index) => this.knock(index + 2, ticket)))
    t.ok(
      open.every(({ status }) => status === 101),
      `${what}: its place is free again`
    )
    const answer = await this.knock(CAP + 1, last)
    isRefusal(t, answer, this.#cap.wanted, `${what}: and no other is`)
    t.match(answer.text, /^retry-after: [1-9]\d*\r$/im)
    const { sub, from } = this.#cap.visitor(CAP + 1)
    const { authorized } = this.held
    const issued = await requestTicket(app, '/echo', as({ sub }, { remoteAddress: from }))
    t.equal(issued.statusCode, this.#cap.issue, 'a page is told when it asks for a ticket')
    t.equal(this.held.authorized, authorized, 'before authorize is asked')
    t.match(issued.headers, { 'retry-after': /^[1-9]/ })
    for (const { raw } of open) raw.socket.resetAndDestroy()
    await untilServerSockets(app, before)
    t.ok(await isGood(t, this.scene.port, '/echo', last, { from }), 'the refused ticket is not burnt')
    await untilServerSockets(app, before)
  }
}

/** Every way in which a place is given back. */
const paths: Record<string, (visits: Visits) => Promise<unknown>> = {
  async 'the client closes'(visits) {
    const raw = await visits.open()
    raw.write(closeFrame(1000))
    await raw.ended
  },
  async 'the client resets'(visits) {
    const raw = await visits.open()
    raw.socket.resetAndDestroy()
  },
  async 'the server closes a client that stays silent'(visits) {
    const raw = await visits.open()
    await visits.scene.app.wsTicket.disconnect({ connection: String(/"connection":"([^"]+)"/.exec(raw.received)?.[1]) })
    await visits.scene.advance(3000)
    await raw.ended
  },
  async 'the protocol is violated'(visits) {
    const raw = await visits.open()
    raw.write(Buffer.from([0xff, 0xff]))
    await visits.scene.advance(3000)
    await raw.ended
  },
  'the origin is refused': async (visits) => await visits.knock(0, await visits.ticket(0), { Origin: 'null' }),
  'the ticket is unknown': async (visits) => await visits.knock(0, 'x'.repeat(43)),
  async 'the ticket is used'(visits) {
    const ticket = await visits.ticket(0)
    const { raw } = await visits.knock(0, ticket)
    await visits.knock(0, ticket)
    raw.socket.resetAndDestroy()
  },
  "the app's own hook refuses": async (visits) => await visits.knock(0, await visits.ticket(0), { 'X-Refuse': 'yes' }),
  async 'the client leaves while a hook runs'(visits) {
    const raw = await visits.beginHeld()
    raw.socket.resetAndDestroy()
    await raw.ended
    visits.held.letGo()
  },
  async 'a hook never settles'(visits) {
    const raw = await visits.beginHeld()
    await visits.scene.advance(TIMEOUT_MS + 500)
    await raw.ended
    visits.held.letGo()
  }
}

for (const [name, cap] of Object.entries(caps)) {
  const held = new AppChecks()
  const options = {
    timed: true,
    plugin: { ...manyRequests, ...cap.plugin, handshakeTimeout: TIMEOUT_MS, ticketTtl: '1 minute' },
    declare: (app: FastifyInstance) =>
      app.wsRoute('/echo', {
        contract: echoContract,
        handlers: echoHandlers,
        authorize: held.authorize,
        preHandler: [
          held.hook,
          async ({ headers }) => {
            if (headers['x-refuse']) throw new Error('refused')
          }
        ]
      })
  }

  attack(
    `E6 connections ${name}: one more is refused with Retry-After, and a place is freed once on every path`,
    options,
    async (t, scene) => {
      const visits = new Visits(t, scene, cap, held)
      const before = await countServerSockets(scene.app)
      for (const [path, visit] of Object.entries(paths)) {
        // a place that is given back twice would be that of somebody else
        const other = await visits.open(1)
        await visit(visits)
        await untilServerSockets(scene.app, before + 1)
        await visits.fill(path)
        other.socket.resetAndDestroy()
        await untilServerSockets(scene.app, before)
      }
    }
  )
}
