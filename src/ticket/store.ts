import type { Claims } from '../user.js'

/** What a ticket stands for. It is plain JSON, so that any store can keep it. */
export interface TicketRecord {
  readonly user: Claims
  readonly userId: string
  /** What the route's `authorize` returned. */
  readonly context: unknown
  /** The route that the ticket opens. */
  readonly route: string
  /** The concrete path, as its parameters in JSON. */
  readonly path: string
  /** The Origin that asked for it; null where there was none. */
  readonly origin: string | null
  /** The address that it is bound to; null where it is bound to none. */
  readonly ip: string | null
  /** The only connection that it may refresh; null where it may open a new one. */
  readonly refreshes: string | null
  /** The end of the JWT in milliseconds since 1970; null where it has none. */
  readonly authenticatedUntil: number | null
}

export type IssueOutcome =
  | { readonly outcome: 'issued' }
  /** The user has as many unused tickets as allowed; one of them expires after `retryAfterMs`. */
  | { readonly outcome: 'user-full'; readonly retryAfterMs: number }
  /** The store has no room; there may be some after `retryAfterMs`. */
  | { readonly outcome: 'full'; readonly retryAfterMs: number }

export type FindOutcome =
  | { readonly outcome: 'live'; readonly record: TicketRecord }
  | { readonly outcome: 'used'; readonly record: TicketRecord; readonly usedBy: string }
  | { readonly outcome: 'unknown' }

/**
 * Where tickets are kept, by their hash only. Every method may reject: then nobody gets in (fail closed).
 * The store's own clock decides when a ticket has expired.
 */
export interface TicketStore {
  /** Keeps a ticket for `ttlMs`, unless the user or the store has too many. */
  issue(hash: string, record: TicketRecord, ttlMs: number): Promise<IssueOutcome>

  /** Looks a ticket up without using it. */
  find(hash: string): Promise<FindOutcome>

  /**
   * Uses a ticket in one atomic step: of any number of calls exactly one is answered `live`.
   * The mark of who used it stays until the ticket would have expired.
   */
  redeem(hash: string, usedBy: string): Promise<FindOutcome>

  /** Removes the user's unused tickets, or with null everybody's; answers how many. */
  voidUser(userId: string | null): Promise<number>

  /** How many tickets are kept here, used ones included; for `stats()`. */
  size(): number

  /** How many tickets have expired unused since the start; for `stats()`. A store that can't know has none of it. */
  expired?(): number

  /** Ends the store with the app. */
  close(): Promise<void>
}
