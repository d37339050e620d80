/** The upper bounds of the buckets, in seconds: from what a handler in memory takes to what the longest deadlines allow. */
export const BUCKETS_S: readonly number[] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** How often something took how long. */
export interface HistogramSnapshot {
  readonly count: number
  /** All of them together, in seconds. */
  readonly sum: number
  /** How many took `le` seconds at most, those of the smaller bounds included. */
  readonly buckets: readonly { readonly le: number; readonly count: number }[]
}

/** Durations in buckets. */
export class Histogram {
  /** How many are in each and in no smaller one. */
  readonly #buckets = BUCKETS_S.map((le) => ({ le, count: 0 }))
  #count = 0
  #sum = 0

  observe(ms: number): void {
    const seconds = ms / 1000
    this.#count++
    this.#sum += seconds
    for (const bucket of this.#buckets) {
      if (seconds > bucket.le) continue
      bucket.count++
      return
    }
  }

  snapshot(): HistogramSnapshot {
    let below = 0
    const buckets = this.#buckets.map(({ le, count }) => {
      below += count
      return { le, count: below }
    })
    return { count: this.#count, sum: this.#sum, buckets }
  }
}
