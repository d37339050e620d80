const STEP_MS = 0.01
const STEPS = 100_000

/** Waiting times in steps of 10 microseconds, up to a second. */
export class Latencies {
  readonly #counts = new Uint32Array(STEPS)
  #total = 0

  add(ms: number): void {
    const step = Math.min(Math.floor(ms / STEP_MS), STEPS - 1)
    this.#counts[step] = (this.#counts[step] ?? 0) + 1
    this.#total++
  }

  /** The time that so great a share of all waited at most. */
  quantile(share: number): number {
    let left = this.#total * share
    const step = this.#counts.findIndex((count) => {
      left -= count
      return left <= 0
    })
    return (step + 1) * STEP_MS
  }
}
