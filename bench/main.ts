import { writeFileSync } from 'node:fs'
import type { Part, Result } from './compare.js'
import { redisLimit } from './redis-limit.js'
import { redisRedeem } from './redis-redeem.js'
import { table } from './table.js'

const PARTS: Readonly<Record<string, Part>> = { 'redis-redeem': redisRedeem, 'redis-limit': redisLimit }

const asked = process.argv.slice(2)
const unknown = asked.find((name) => !chosen(name).length)
if (unknown !== undefined) {
  process.stderr.write(`There is no part '${unknown}'; there are: ${Object.keys(PARTS).join(', ')}.\n`)
  process.exit(1)
}

const names = asked.length === 0 ? Object.keys(PARTS) : asked.flatMap(chosen)
const all: Record<string, Result[]> = {}
for (const [name, { title, unit, measure }] of Object.entries(PARTS)) {
  if (!names.includes(name)) continue
  const results = await measure()
  all[name] = results
  process.stdout.write(`${table(title, unit, results)}\n\n`)
}
writeFileSync(new URL('results.json', import.meta.url), `${JSON.stringify(all, null, 2)}\n`)

/** The parts of that name, or whose names begin with it: `redis` is all of Redis. */
function chosen(name: string): string[] {
  return Object.keys(PARTS).filter((part) => part === name || part.startsWith(`${name}-`))
}
