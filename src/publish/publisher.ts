import { checkCloseCode } from '../connection/close.js'
import type { Connection } from '../connection/connection.js'
import type { LiveConnection } from '../connection/live-connection.js'
import type { ConnectionRegistry } from '../connection/registry.js'
import type { Contract, EventPayload, EventType } from '../contract.js'
import { fail } from '../errors.js'
import { show } from '../option-schema.js'
import { CloseCode } from '../protocol.js'
import type { TicketStore } from '../ticket/store.js'
import type { Bus, Target } from './bus.js'
import type { EventEncoder } from './events.js'
import { checkTopic } from './topics.js'

/** How many connections were reached on this node. */
export interface Delivery {
  readonly delivered: number
}

/** What a disconnect did: connections closed on this node, unused tickets voided. */
export interface Disconnection {
  readonly disconnected: number
  readonly ticketsVoided: number
}

/** A WebSocket route, for publishing to its connections from anywhere in the app. */
export interface WsRoute<C extends Contract = Contract, Context = unknown, Params = unknown> {
  /**
   * Sends an event to all connections that are subscribed to the topic. The frame is built once.
   * @throws FST_WS_TICKET_UNKNOWN_EVENT, FST_WS_TICKET_INVALID_EVENT, FST_WS_TICKET_FRAME_TOO_LARGE, FST_WS_TICKET_INVALID_TOPIC
   */
  publish<T extends EventType<C>>(topic: string, event: T, payload: EventPayload<C, T>): Delivery

  /**
   * Sends an event to all connections of a user, to one connection, or to all.
   * @throws as `publish`, and FST_WS_TICKET_INVALID_TARGET
   */
  send<T extends EventType<C>>(target: Target, event: T, payload: EventPayload<C, T>): Delivery

  /**
   * Closes all connections of a user, one connection, or all, and voids the unused tickets of the user, or all.
   * Connections of this node are closed before it returns; the promise tells when the tickets are void and no other node can miss it.
   *
   * @param code default 4403, on which a client does not come back by itself
   * @throws FST_WS_TICKET_INVALID_TARGET, FST_WS_TICKET_INVALID_CLOSE_CODE; rejects with FST_WS_TICKET_UNAVAILABLE when tickets may
   *   still be good or other nodes may not hear of it: call it again
   */
  disconnect(target: Target, code?: number): Promise<Disconnection>

  /** The open connections on this node. */
  connections(): Connection<C, Context, Params>[]
}

/** What publishing needs of a route. */
export interface PublishingRoute {
  readonly id: string
  readonly events: EventEncoder
  readonly registry: ConnectionRegistry
}

export interface PublishStage {
  readonly bus: Bus
  readonly store: TicketStore
}

/** The publishing side of one route. */
export class RoutePublisher {
  readonly #stage: PublishStage
  readonly #route: PublishingRoute

  constructor(stage: PublishStage, route: PublishingRoute) {
    this.#stage = stage
    this.#route = route
  }

  publish(topic: string, event: string, payload: unknown): Delivery {
    checkTopic(topic)
    const frame = this.#route.events.encode(event, payload, topic)
    return { delivered: this.#stage.bus.post({ kind: 'publish', route: this.#route.id, topic, frame }) }
  }

  send(target: Target, event: string, payload: unknown): Delivery {
    const frame = this.#route.events.encode(event, payload)
    return { delivered: this.#stage.bus.post({ kind: 'send', route: this.#route.id, target: checkTarget(target), frame }) }
  }

  disconnect(target: Target, code?: number): Promise<Disconnection> {
    return disconnect(this.#stage, this.#route.id, target, code)
  }

  connections(): LiveConnection[] {
    return this.#route.registry.all()
  }

  has(event: string): boolean {
    return this.#route.events.has(event)
  }

  get events(): string[] {
    return this.#route.events.names
  }
}

/** The publishing side of all routes together: an event goes through every route whose contract has it. */
export class Publisher {
  readonly #stage: PublishStage
  readonly #routes: RoutePublisher[] = []

  constructor(stage: PublishStage) {
    this.#stage = stage
  }

  add(route: RoutePublisher): void {
    this.#routes.push(route)
  }

  publish(topic: string, event: string, payload: unknown): Delivery {
    return sum(this.#routesWith(event).map((route) => route.publish(topic, event, payload)))
  }

  send(target: Target, event: string, payload: unknown): Delivery {
    return sum(this.#routesWith(event).map((route) => route.send(target, event, payload)))
  }

  disconnect(target: Target, code?: number): Promise<Disconnection> {
    return disconnect(this.#stage, null, target, code)
  }

  connections(): LiveConnection[] {
    return this.#routes.flatMap((route) => route.connections())
  }

  #routesWith(event: string): RoutePublisher[] {
    const routes = this.#routes.filter((route) => route.has(event))
    if (routes.length > 0) return routes
    const known = new Set(this.#routes.flatMap((route) => route.events))
    throw fail('UNKNOWN_EVENT', [event, 'the contract of any route', [...known].join(', ') || 'none'])
  }
}

function sum(deliveries: Delivery[]): Delivery {
  return { delivered: deliveries.reduce((total, { delivered }) => total + delivered, 0) }
}

/** A target that is no target would reach nobody, and nobody would notice. */
function checkTarget(target: Target): Target {
  const [[kind, value] = [], ...others] = Object.entries(Object(target))
  const isId = (kind === 'user' || kind === 'connection') && typeof value === 'string' && value !== ''
  if (others.length === 0 && (isId || (kind === 'all' && value === true))) return target
  throw fail('INVALID_TARGET', [show(target)])
}

function disconnect(
  { bus, store }: PublishStage,
  route: string | null,
  target: Target,
  code: number = CloseCode.disconnected
): Promise<Disconnection> {
  const message = {
    kind: 'disconnect',
    route,
    target: checkTarget(target),
    code: checkCloseCode(code),
    reason: 'disconnected by the server'
  } as const
  const { disconnected, kept } = bus.disconnect(message)
  const done = Promise.all([voidTickets(store, target), kept]).then(
    ([ticketsVoided]) => ({ disconnected, ticketsVoided }),
    (cause) => {
      throw fail('UNAVAILABLE', [], { retryAfterMs: 1000, cause })
    }
  )
  // whoever does not wait for it must not crash the process when the store or the bus fails
  done.catch(() => {})
  return done
}

async function voidTickets(store: TicketStore, target: Target): Promise<number> {
  if ('connection' in target) return 0
  return await store.voidUser('user' in target ? target.user : null)
}
