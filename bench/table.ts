import type { Result, Table } from './compare.js'
import { judge, median, ratioOf, type Verdict } from './judge.js'

/** A table of results in Markdown, and what it says of its targets. */
export function table(measured: Table): string {
  const { title, unit, results } = measured
  const [first] = results
  const hasCpu = results.some(({ cpuRates }) => cpuRates)
  const hasP99 = results.some(({ p99Ms }) => p99Ms)
  const head = [
    [title, `median ${unit}`, 'min', 'max', 'ratio'],
    hasCpu ? ['ratio per CPU time'] : [],
    hasP99 ? ['p99, ms', 'ratio of p99'] : []
  ].flat()
  const rows = results.map((result) =>
    [ratesOf(result, first), hasCpu ? cpuOf(result, first) : [], hasP99 ? p99Of(result, first) : []].flat()
  )
  const lines = [head, ['---', ...head.slice(1).map(() => '---:')], ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  const verdicts = judge(measured).map(sentence)
  return [...lines, ...(verdicts.length > 0 ? ['', ...verdicts] : [])].join('\n')
}

function ratesOf(result: Result, first: Result | undefined): string[] {
  const { name, rates, isLoadBound } = result
  const numbers = [median(rates), Math.min(...rates), Math.max(...rates)].map(round)
  return [isLoadBound ? `${name} (at least: the load was the bottleneck)` : name, ...numbers, ratioOf(rates, first?.rates).toFixed(2)]
}

function cpuOf({ cpuRates }: Result, first: Result | undefined): string[] {
  return [ratioOf(cpuRates, first?.cpuRates).toFixed(2)]
}

function p99Of({ p99Ms = [] }: Result, first: Result | undefined): string[] {
  return [median(p99Ms).toFixed(2), ratioOf(p99Ms, first?.p99Ms).toFixed(2)]
}

function round(number: number): string {
  const digits = number < 100 ? 2 : 0
  return number.toLocaleString('en-US', { maximumFractionDigits: digits })
}

const SAID = new Map([
  [true, 'reached'],
  [false, '**missed**'],
  [undefined, '**not judged: the load was the bottleneck**']
])

function sentence({ target, to, ratio, isReached }: Verdict): string {
  const { name, of, atLeast, atMost } = target
  const bound = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`
  return `- ${name}${of === 'p99' ? ', p99' : ''}: ${ratio.toFixed(2)} × ${to}, to be ${bound}: ${SAID.get(isReached)}`
}
