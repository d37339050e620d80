/** One of several things that do the same, and whose speed is compared. */
export interface Contender {
  readonly name: string
  /** Runs it once: how many it did per second, or more than that. */
  run(): Promise<number | Reading>
}

/** What one run of a contender came to. */
export interface Reading {
  readonly perSecond: number
  /** For each second of CPU time of the contender: what else runs on the machine hardly changes it. */
  readonly perCpuSecond?: number
  /** The time that 99 of 100 waited at most. */
  readonly p99Ms?: number
  /** What had more to do, in CPU time, than the contender: then the contender was not measured. */
  readonly isLoadBound?: boolean
}

/** What several runs of a contender came to. */
export interface Result {
  readonly name: string
  /** Per second, in each round. */
  readonly rates: readonly number[]
  readonly cpuRates?: readonly number[]
  readonly p99Ms?: readonly number[]
  /** What loaded it was the bottleneck in half of the rounds or more, so that it may be faster than it seems. */
  readonly isLoadBound?: true
}

/** What must come out: a result, against the first or another of its table. */
export interface Target {
  readonly name: string
  readonly to?: string
  /** `p99` is the waiting time, of which less is better. */
  readonly of?: 'rate' | 'p99'
  readonly atLeast?: number
  readonly atMost?: number
}

/** Some contenders that were compared. The ratios are to the first. */
export interface Table {
  readonly title: string
  readonly unit: string
  readonly results: readonly Result[]
  readonly targets?: readonly Target[]
}

/** A question that is answered by measuring. */
export interface Part {
  /** What is installed in bench/ alone, and has to be there. */
  readonly needs?: boolean
  measure(): Promise<Table[]>
}

/**
 * Runs the contenders in turn, each round in another order, since machines are noisy.
 * @param warmUps the rounds before, which do not count
 */
export async function compare(contenders: readonly Contender[], rounds: number, warmUps = 1): Promise<Result[]> {
  const readings = new Map<Contender, Reading[]>(contenders.map((contender) => [contender, []]))
  for (let round = 0; round < warmUps; round++) {
    for (const contender of contenders) await contender.run()
  }
  for (let round = 0; round < rounds; round++) {
    const order = contenders.map((_, index) => contenders[(index + round) % contenders.length])
    for (const contender of order) {
      if (contender) readings.get(contender)?.push(readingOf(await contender.run()))
    }
  }
  return [...readings].map(([{ name }, own]) => resultOf(name, own))
}

function readingOf(measured: number | Reading): Reading {
  return typeof measured === 'number' ? { perSecond: measured } : measured
}

function resultOf(name: string, readings: readonly Reading[]): Result {
  const cpuRates = readings.flatMap(({ perCpuSecond }) => perCpuSecond ?? [])
  const p99Ms = readings.flatMap((reading) => reading.p99Ms ?? [])
  const bound = readings.filter(({ isLoadBound }) => isLoadBound).length
  return {
    name,
    rates: readings.map(({ perSecond }) => perSecond),
    ...(cpuRates.length > 0 && { cpuRates }),
    ...(p99Ms.length > 0 && { p99Ms }),
    ...(bound * 2 >= readings.length && { isLoadBound: true })
  }
}
