/** One of several things that do the same, and whose speed is compared. */
export interface Contender {
  readonly name: string
  /** Runs it once and answers how many it did per second. */
  run(): Promise<number>
}

/** What several runs of a contender came to, per second. */
export interface Result {
  readonly name: string
  readonly median: number
  readonly min: number
  readonly max: number
  /** To the first contender: the median of the ratios of each round. */
  readonly ratio: number
}

/** A question that is answered by measuring. */
export interface Part {
  readonly title: string
  readonly unit: string
  measure(): Promise<Result[]>
}

/** Runs the contenders in turn, each round in another order, since machines are noisy. The first is what the others are compared with. */
export async function compare(contenders: readonly Contender[], rounds: number): Promise<Result[]> {
  const rates = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]))
  for (const contender of contenders) await contender.run()
  for (let round = 0; round < rounds; round++) {
    const order = contenders.map((_, index) => contenders[(index + round) % contenders.length])
    for (const contender of order) {
      if (contender) rates.get(contender)?.push(await contender.run())
    }
  }
  const [first = []] = rates.values()
  return [...rates].map(([{ name }, own]) => ({
    name,
    median: median(own),
    min: Math.min(...own),
    max: Math.max(...own),
    ratio: median(own.map((rate, round) => rate / (first[round] ?? Number.NaN)))
  }))
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}
