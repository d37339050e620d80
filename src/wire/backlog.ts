/** A burst takes many round trips, and TLS and compression take nothing in the turn that writes. */
const PATIENCE_MS = 5000

/** More than may wait for a peer, as it was seen at a moment. It is old when the peer has had time to take it. */
export class Backlog {
  readonly #sentBytes: number
  readonly #oldAt: number

  /** @param sentBytes all that was written to the transport by then */
  constructor(sentBytes: number, now: number) {
    this.#sentBytes = sentBytes
    this.#oldAt = now + PATIENCE_MS
  }

  isOld(now: number): boolean {
    return now >= this.#oldAt
  }

  /** How many of the bytes that are unsent now were written by then. */
  leftOf(unsentBytes: number, sentBytes: number): number {
    return unsentBytes - (sentBytes - this.#sentBytes)
  }
}
