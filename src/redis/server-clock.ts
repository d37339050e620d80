import type { Clock } from '../clock.js'

/** For scripts: `now`, the server's time in milliseconds with a fraction, which is cut off where it is answered. */
export const SERVER_NOW = "local time = redis.call('TIME') local now = time[1] * 1000 + time[2] / 1000"

/** What time it is on a server, as far as its answers have told. */
export class ServerClock {
  readonly #clock: Clock
  #aheadMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The server has answered its time. As that was before now, what is told from it is rather early than late. */
  heard(serverMs: number): void {
    this.#aheadMs = serverMs - this.#clock.now()
  }

  /** The server's time in so many milliseconds, or 0 where nothing was heard yet. */
  in(ms: number): number {
    return Math.max(0, this.#clock.now() + this.#aheadMs + ms)
  }
}
