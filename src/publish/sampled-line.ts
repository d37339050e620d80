import type { Clock } from '../clock.js'

const MIN_INTERVAL_MS = 60_000

/** A line in the log about what may happen often: written the first time, then once a minute with how often it was. */
export class SampledLine {
  readonly #clock: Clock
  readonly #write: (count: number, reason: string) => void
  #count = 0
  #reason = ''
  #writtenAt = Number.NEGATIVE_INFINITY

  /** @param write gets how often it happened since the last line, and the latest reason */
  constructor(clock: Clock, write: (count: number, reason: string) => void) {
    this.#clock = clock
    this.#write = write
  }

  add(reason: string): void {
    this.#count++
    this.#reason = reason
    this.tick(this.#clock.now())
  }

  /** Writes what is due; to be called now and then. */
  tick(now: number): void {
    if (this.#count === 0 || now - this.#writtenAt < MIN_INTERVAL_MS) return
    this.#write(this.#count, this.#reason)
    this.#writtenAt = now
    this.#count = 0
  }
}
