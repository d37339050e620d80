/** Functions that are told of something. */
export interface Listeners<Values extends unknown[]> {
  /** Returns what takes it off again. */
  add(listener: (...values: Values) => void): () => void
  /** One that throws keeps nobody else from being told. */
  emit(...values: Values): void
}

/** @param report is told what they throw */
export function listenersOf<Values extends unknown[]>(report: (error: unknown) => void): Listeners<Values> {
  const entries = new Set<(...values: Values) => void>()
  return {
    add(listener) {
      // the same function may be there twice
      const entry = (...values: Values) => listener(...values)
      entries.add(entry)
      return () => {
        entries.delete(entry)
      }
    },

    emit(...values) {
      for (const entry of entries) {
        try {
          entry(...values)
        } catch (error) {
          report(error)
        }
      }
    }
  }
}
