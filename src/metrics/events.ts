import { channel } from 'node:diagnostics_channel'

interface RouteEvent {
  /** `app.wsTicket` of the app that it happened in, as a process may have several. */
  readonly source: object
  readonly route: string
}

/** A request for a ticket was answered. */
export interface TicketEvent extends RouteEvent {
  /** `issued`; `abandoned`, where the client left; the code of the refusal; or `HTTP_<status>` for one of the app's own. */
  readonly outcome: string
}

/** A ticket was presented, at an upgrade or to refresh a session. */
export interface RedemptionEvent extends RouteEvent {
  /** `refused` is unknown, expired, or not for where it was presented. */
  readonly outcome: 'redeemed' | 'replayed' | 'refused'
}

/** An upgrade ended. */
export interface HandshakeEvent {
  /** Undefined where it was over before its route was looked for; then it is of the server, whichever app that is. */
  readonly source: object | undefined
  readonly route: string | undefined
  /** `opened`; `abandoned`, where the client left; the code of the refusal; or `HTTP_<status>` for one of the app's own. */
  readonly outcome: string
}

/** A frame from a client was answered, or handled without an answer. */
export interface MessageEvent extends RouteEvent {
  /** A type of the contract or of the protocol; `$unknown` for everything else. */
  readonly type: string
  /** `ok`; the code of the refusal; or `HTTP_<status>` for one of the app's own. */
  readonly outcome: string
  /** How long its handler took, in milliseconds; undefined where it was not called. */
  readonly handlerMs: number | undefined
}

/** A ticket expired unused, where the store sees that. */
export type ExpiryEvent = RouteEvent

/** Who closed a connection. */
export type Closer = 'server' | 'client'

/** A connection was closed. */
export interface CloseEvent extends RouteEvent {
  readonly code: number
  readonly by: Closer
  /** What went over its socket since it opened, frames and all. */
  readonly bytes: { readonly received: number; readonly sent: number }
}

/**
 * What happens, as it happens, for `node:diagnostics_channel`. Nothing in it is secret, and nothing tells who it was. As long as
 * nobody subscribes, it costs nothing. A subscriber that throws ends the process, as with every such channel.
 */
export const channels = {
  ticket: channel('fastify-ws-ticket:ticket'),
  redemption: channel('fastify-ws-ticket:redemption'),
  expiry: channel('fastify-ws-ticket:expiry'),
  handshake: channel('fastify-ws-ticket:handshake'),
  message: channel('fastify-ws-ticket:message'),
  close: channel('fastify-ws-ticket:close')
} as const

/** Tells of a ticket that expired unused. */
export function tellExpiry(source: object, route: string): void {
  const event: ExpiryEvent = { source, route }
  channels.expiry.publish(event)
}
