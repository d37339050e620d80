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
  /** One more than there are bounds: the last is for what is longer than all. */
  readonly #counts = new Float64Array(BUCKETS_S.length + 1)
  #sum = 0

  observe(ms: number): void {
    const seconds = ms / 1000
    let bucket = 0
    for (const bound of BUCKETS_S) {
      if (seconds <= bound) break
      bucket++
    }
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1
    this.#sum += seconds
  }

  snapshot(): HistogramSnapshot {
    let count = 0
    const buckets = BUCKETS_S.map((le, index) => {
      count += this.#counts[index] ?? 0
      return { le, count }
    })
    return { count: count + (this.#counts[BUCKETS_S.length] ?? 0), sum: this.#sum, buckets }
  }
}
