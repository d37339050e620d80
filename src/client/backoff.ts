/** Bounds in milliseconds. */
export interface BackoffSettings {
  readonly min: number
  readonly max: number
}

/**
 * How long to wait before the next try: full jitter, a random part of a bound that doubles with each. What the server
 * asks for is waited for first, so that all whom it told the same do not come back at once.
 */
export class Backoff {
  readonly #settings: BackoffSettings
  readonly #random: () => number
  #tries = 0

  constructor(settings: BackoffSettings, random: () => number) {
    this.#settings = settings
    this.#random = random
  }

  next(retryAfterMs = 0): number {
    const { min, max } = this.#settings
    return retryAfterMs + this.#random() * Math.min(max, min * 2 ** this.#tries++)
  }

  reset(): void {
    this.#tries = 0
  }
}
