import type { FastifyBaseLogger } from 'fastify'
import type { Contract, EventPayload, EventType } from '../contract.js'
import type { User } from '../user.js'

/** An open WebSocket of an authenticated user, as handlers see it. */
export interface Connection<C extends Contract = Contract, Context = unknown, Params = unknown> {
  /** A random id, the one that `$welcome` tells the client. */
  readonly id: string
  /** The verified claims; a refresh replaces them. */
  readonly user: User
  /** The user's id: the claim `sub`, or what the option `userId` makes of the claims. */
  readonly userId: string
  /** What `authorize` returned when the ticket was issued, as JSON; a refresh replaces it. */
  readonly context: Context
  /** The path's parameters. */
  readonly params: Params
  /** The client's address, as Fastify's `request.ip`. */
  readonly ip: string
  /** The topics that it is subscribed to. */
  readonly topics: ReadonlySet<string>
  /** The end of the session in milliseconds since 1970; a refresh moves it. */
  readonly expiresAt: number
  /** The app's logger; its lines have the connection's id as `connection`, its `route`, and the id of its `user`. */
  readonly log: FastifyBaseLogger
  /** Aborted when the connection is closed. */
  readonly signal: AbortSignal

  /**
   * Sends an event to this connection.
   * @returns false when it is no longer open or reads too slowly
   * @throws FST_WS_TICKET_UNKNOWN_EVENT, FST_WS_TICKET_INVALID_EVENT, FST_WS_TICKET_FRAME_TOO_LARGE
   */
  send<T extends EventType<C>>(event: T, payload: EventPayload<C, T>): boolean

  /**
   * Receives what is published to the topic: on this node from now on, on others from when the promise resolves. It is at
   * once without Redis, and at the latest after `redisTimeout`; it never rejects, and need not be waited for.
   * @throws FST_WS_TICKET_INVALID_TOPIC
   */
  subscribe(topic: string): Promise<void>

  unsubscribe(topic: string): void

  /**
   * Closes the connection. What comes from the client afterwards is not handled.
   * @param code default 1000; 3000 to 4999 are the application's, 4400 to 4499 say what docs/protocol.md says
   * @param reason at most 123 bytes; what is longer is cut
   * @throws FST_WS_TICKET_INVALID_CLOSE_CODE
   */
  close(code?: number, reason?: string): void
}
