import type { Result, Table, Target } from './compare.js'

/** A target and what came out: undefined where nothing can be said. */
export interface Verdict {
  readonly target: Target
  readonly to: string
  readonly ratio: number
  readonly isReached: boolean | undefined
}

/** Holds a table against its targets. What the load was the bottleneck of is not judged, unless it is good enough even so. */
export function judge({ results, targets = [] }: Table): Verdict[] {
  return targets.map((target) => {
    const result = results.find(({ name }) => name === target.name)
    const other = target.to === undefined ? results[0] : results.find(({ name }) => name === target.to)
    if (!result || !other) throw new Error(`there is no result of ${target.name} or ${target.to}`)
    const ratio = target.of === 'p99' ? ratioOf(result.p99Ms, other.p99Ms) : ratioOf(result.rates, other.rates)
    const isReached = ratio >= (target.atLeast ?? 0) && ratio <= (target.atMost ?? Number.POSITIVE_INFINITY)
    const isKnown = !other.isLoadBound && (!result.isLoadBound || isReached)
    return { target, to: other.name, ratio, isReached: isKnown ? isReached : undefined }
  })
}

/** The median of the ratios of each round: what makes a machine slow for a while then makes both slow. */
export function ratioOf(numbers: Result['rates'] = [], others: Result['rates'] = []): number {
  return median(numbers.map((number, round) => number / (others[round] ?? Number.NaN)))
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}
