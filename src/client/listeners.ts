/** Functions that are told of something. One that throws keeps nobody else from being told. */
export class Listeners<Values extends unknown[]> {
  readonly #entries = new Set<{ readonly listener: (...values: Values) => void }>()
  readonly #report: (error: unknown) => void

  constructor(report: (error: unknown) => void) {
    this.#report = report
  }

  /** Returns what takes it off again. */
  add(listener: (...values: Values) => void): () => void {
    // the same function may be there twice
    const entry = { listener }
    this.#entries.add(entry)
    return () => {
      this.#entries.delete(entry)
    }
  }

  emit(...values: Values): void {
    for (const { listener } of this.#entries) {
      try {
        listener(...values)
      } catch (error) {
        this.#report(error)
      }
    }
  }

  clear(): void {
    this.#entries.clear()
  }
}
