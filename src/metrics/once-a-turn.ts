/** Asks once for all that look in the same turn: what a scrape shows is of one moment, and costs one look. */
export function onceATurn<T>(ask: () => T): () => T {
  let answer: { readonly value: T } | undefined
  return () => {
    if (answer) return answer.value
    answer = { value: ask() }
    setImmediate(() => {
      answer = undefined
    })
    return answer.value
  }
}
