import type { Result } from './compare.js'

/** Results as a table in Markdown. */
export function table(title: string, unit: string, results: readonly Result[]): string {
  const rows = results.map(({ name, ratio, ...rates }) => {
    const numbers = [rates.median, rates.min, rates.max].map((rate) => Math.round(rate).toLocaleString('en-US'))
    return `| ${[name, ...numbers, ratio.toFixed(2)].join(' | ')} |`
  })
  return [`| ${title} | median ${unit} | min | max | ratio |`, '|---|---:|---:|---:|---:|', ...rows].join('\n')
}
