/** A message that has passed all checks. Nothing of its payload, and nothing that tells who sent it. */
export interface TracedMessage {
  readonly route: string
  readonly type: string
  /** The id of its connection. */
  readonly connection: string
}

/**
 * Runs a handler, for tracing. Must call `handle` once, at once, and return what it returns (or, of a promise, another that settles alike), or throw what it throws.
 */
export type TraceMessage = (message: TracedMessage, handle: () => unknown) => unknown
