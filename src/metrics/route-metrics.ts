import { CloseCode } from '../protocol.js'
import { type CloseEvent, type Closer, channels, type HandshakeEvent, type RedemptionEvent, type TicketEvent } from './events.js'
import { MessageMetrics, type MessageTotals } from './message-metrics.js'
import { Tally } from './tally.js'

export interface Bytes {
  readonly received: number
  readonly sent: number
}

/** What has happened on a route of this node since it started. Each record is by outcome or code; what never came is not in it. */
export interface RouteTotals {
  /** Requests for a ticket: `issued`, or why not. */
  readonly tickets: Readonly<Record<string, number>>
  /** Tickets that were presented: `redeemed`, `replayed`, `refused`. */
  readonly redemptions: Readonly<Record<string, number>>
  /** Upgrades: `opened`, or why not. */
  readonly handshakes: Readonly<Record<string, number>>
  /** Bytes on the sockets of its connections since they opened, frames and all. */
  readonly bytes: Bytes
  /** Messages by their type. */
  readonly messages: Readonly<Record<string, MessageTotals>>
  /** Connections that were closed, by close code; 1013 are slow readers. The app's own codes, and what a client makes up, are `other`. */
  readonly closes: Readonly<Record<string, number>>
}

/** The codes that say the same whoever sends them: done, going away, none, and no close frame at all. */
const OF_BOTH: ReadonlySet<number> = new Set([1000, 1001, 1005, 1006])

/** Of the app's own codes there may be a thousand, and a client may make up any. */
function isCounted(code: number, by: Closer): boolean {
  return OF_BOTH.has(code) || (by === 'server' && OWN_CODES.has(code))
}

const OWN_CODES: ReadonlySet<number> = new Set([1002, 1007, 1008, ...Object.values(CloseCode)])

/** Counts what happens on one route, and tells whoever listens. */
export class RouteMetrics {
  readonly #source: object
  readonly #route: string
  readonly #tickets = new Tally()
  readonly #redemptions = new Tally<RedemptionEvent['outcome']>()
  readonly #handshakes = new Tally()
  readonly #messages = new Map<string, MessageMetrics>()
  readonly #closes = new Tally<number | 'other'>()
  /** Of connections that are closed. */
  #bytes: Bytes = { received: 0, sent: 0 }

  /** @param source the `app.wsTicket` that the route belongs to */
  constructor(source: object, route: string) {
    this.#source = source
    this.#route = route
  }

  ticketAnswered(outcome: string): void {
    this.#tickets.add(outcome)
    const event: TicketEvent = { source: this.#source, route: this.#route, outcome }
    channels.ticket.publish(event)
  }

  ticketPresented(outcome: RedemptionEvent['outcome']): void {
    this.#redemptions.add(outcome)
    const event: RedemptionEvent = { source: this.#source, route: this.#route, outcome }
    channels.redemption.publish(event)
  }

  handshakeEnded(outcome: string): void {
    this.#handshakes.add(outcome)
    const event: HandshakeEvent = { source: this.#source, route: this.#route, outcome }
    channels.handshake.publish(event)
  }

  /** @param bytes all that went over its socket */
  connectionClosed(code: number, by: Closer, bytes: Bytes): void {
    this.#bytes = addBytes(this.#bytes, bytes)
    this.#closes.add(isCounted(code, by) ? code : 'other')
    const event: CloseEvent = { source: this.#source, route: this.#route, code, by, bytes }
    channels.close.publish(event)
  }

  /** The metrics of one type of message, asked for once; there must be few types, so none may come from a client. */
  messages(type: string): MessageMetrics {
    const metrics = new MessageMetrics(this.#source, this.#route, type)
    this.#messages.set(type, metrics)
    return metrics
  }

  /** @param open the bytes of each connection that is open */
  snapshot(open: readonly Bytes[]): RouteTotals {
    return {
      tickets: this.#tickets.snapshot(),
      redemptions: this.#redemptions.snapshot(),
      handshakes: this.#handshakes.snapshot(),
      bytes: open.reduce(addBytes, this.#bytes),
      messages: Object.fromEntries([...this.#messages].map(([type, metrics]) => [type, metrics.snapshot()])),
      closes: this.#closes.snapshot()
    }
  }
}

function addBytes(one: Bytes, other: Bytes): Bytes {
  return { received: one.received + other.received, sent: one.sent + other.sent }
}
