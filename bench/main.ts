import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Book } from './book.js'
import type { Part } from './compare.js'
import { echo } from './echo.js'
import { fanOut } from './fan-out.js'
import { growth } from './growth.js'
import { handshake } from './handshake.js'
import { judge } from './judge.js'
import { memory } from './memory.js'
import { redisLimit } from './redis-limit.js'
import { redisRedeem } from './redis-redeem.js'
import { table } from './table.js'

const PARTS: Readonly<Record<string, Part>> = {
  echo,
  'fan-out': fanOut,
  handshake,
  memory,
  growth,
  'redis-redeem': redisRedeem,
  'redis-limit': redisLimit
}

const asked = process.argv.slice(2).filter((argument) => argument !== '--write')
const unknown = asked.find((name) => !chosen(name).length)
if (unknown !== undefined) {
  process.stderr.write(`There is no part '${unknown}'; there are: ${Object.keys(PARTS).join(', ')}.\n`)
  process.exit(1)
}

const isWrite = process.argv.includes('--write')
const isAll = asked.length === 0 && !isWrite
const book = new Book()
if (isAll) book.clear()
for (const [name, part] of Object.entries(PARTS)) {
  if (!isAll && !asked.flatMap(chosen).includes(name)) continue
  if (part.needs) installContenders()
  const tables = await part.measure()
  for (const measured of tables) process.stdout.write(`${table(measured)}\n\n`)
  if (tables.flatMap(judge).some(({ isReached }) => isReached !== true)) process.exitCode = 1
  book.enter(name, tables)
}
if (isWrite) book.writePage()

/** The parts of that name, or whose names begin with it: `redis` is all of Redis. */
function chosen(name: string): string[] {
  return Object.keys(PARTS).filter((part) => part === name || part.startsWith(`${name}-`))
}

/** What is only compared with is no dependency of this package, and comes when it is needed. */
function installContenders(): void {
  if (existsSync(new URL('node_modules/', import.meta.url))) return
  execFileSync('npm', ['ci', '--prefix', fileURLToPath(new URL('.', import.meta.url))], { stdio: 'inherit' })
}
