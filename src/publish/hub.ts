import type { Clock } from '../clock.js'
import type { LiveConnection } from '../connection/live-connection.js'
import type { ConnectionRegistry } from '../connection/registry.js'
import { SharedFrame } from '../wire/shared-frame.js'
import type { BusMessage, DisconnectMessage, EventMessage, ForeignFrame, Target } from './bus.js'
import type { EventEncoder } from './events.js'
import type { Topics } from './topics.js'

/** What the hub needs of a route: its connections, and what may be sent to them. */
export interface HubRoute {
  readonly id: string
  readonly events: EventEncoder
  readonly registry: ConnectionRegistry
  readonly topics: Topics<LiveConnection>
}

/** How long a disconnect is remembered for those who are just arriving: longer than any handshake may take. */
const MEMORY_MS = 60_000

/** Delivers what the bus brings to the connections of this node. */
export class Hub {
  readonly #clock: Clock
  readonly #routes = new Map<string, HubRoute>()
  /** When a user or a connection was last disconnected, for upgrades that are past their ticket but not open yet. */
  readonly #disconnectedAt = new Map<string, number>()
  #allDisconnectedAt = Number.NEGATIVE_INFINITY
  #maxFrameBytes = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(route: HubRoute): void {
    this.#routes.set(route.id, route)
    this.#maxFrameBytes = Math.max(this.#maxFrameBytes, route.events.maxBytes)
  }

  /** Of the longest frame that any route sends. */
  get maxFrameBytes(): number {
    return this.#maxFrameBytes
  }

  has(routeId: string): boolean {
    return this.#routes.has(routeId)
  }

  /** Answers how many connections it reached. */
  deliver(message: BusMessage): number {
    if (message.kind === 'disconnect') return this.#disconnect(message)
    const route = this.#routes.get(message.route)
    if (!route) return 0
    return writeToAll(receiversOf(route, message), message.frame)
  }

  /**
   * Delivers a frame from another node, if it is one that this app could have sent itself. A route that is not here is no fault:
   * while an app is deployed anew its nodes differ.
   * @returns false where the route's contract forbids it; then nobody gets it
   */
  deliverForeign(message: ForeignFrame): boolean {
    const route = this.#routes.get(message.route)
    const receivers = route ? [...receiversOf(route, message)] : []
    if (!route || receivers.length === 0) return true
    const frame = route.events.rebuild(message.frame, message.kind === 'publish' ? message.topic : undefined)
    if (frame) writeToAll(receivers, frame)
    return frame !== undefined
  }

  /** Was this user or connection disconnected at that time or later? */
  wasDisconnected(userId: string, connection: string, since: number): boolean {
    const at = [this.#allDisconnectedAt, this.#disconnectedAt.get(`user ${userId}`), this.#disconnectedAt.get(`connection ${connection}`)]
    return at.some((time) => time !== undefined && time >= since)
  }

  tick(now: number): void {
    for (const [key, at] of this.#disconnectedAt) {
      if (now - at > MEMORY_MS) this.#disconnectedAt.delete(key)
    }
  }

  #disconnect({ route, target, code, reason }: DisconnectMessage): number {
    this.#remember(target)
    const routes = [...this.#routes.values()].filter(({ id }) => route === null || id === route)
    const connections = routes.flatMap(({ registry }) => registry.find(target)).filter(({ isEnding }) => !isEnding)
    for (const connection of connections) connection.end(code, reason)
    return connections.length
  }

  #remember(target: Target): void {
    const now = this.#clock.now()
    if ('all' in target) this.#allDisconnectedAt = now
    else this.#disconnectedAt.set('user' in target ? `user ${target.user}` : `connection ${target.connection}`, now)
  }
}

function receiversOf(route: HubRoute, message: EventMessage | ForeignFrame): Iterable<LiveConnection> {
  return message.kind === 'publish' ? route.topics.of(message.topic) : route.registry.find(message.target)
}

function writeToAll(connections: Iterable<LiveConnection>, payload: Buffer): number {
  const frame = new SharedFrame(payload)
  let reached = 0
  for (const connection of connections) {
    if (connection.share(frame)) reached++
  }
  return reached
}
