import { hashText } from '../redis/keys.js'
import type { RedisLink } from '../redis/link.js'
import { script } from '../redis/script.js'
import type { NodeLease } from './node-lease.js'

/** How long the numbers of a user stay after a node has written one. */
const KEEP_MS = 3_600_000

/**
 * KEYS the numbers of a user by lease, ARGV the lease of this node, how many places it has given out, how many more it asks
 * for, how many there are on all nodes, how long to keep them, and leases whose numbers are to go. Answers how many more it
 * may give out, and the other leases.
 */
const WRITE = script(`
for i = 6, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
local others, leases = 0, {}
local numbers = redis.call('HGETALL', KEYS[1])
for i = 1, #numbers, 2 do
  if numbers[i] ~= ARGV[1] then
    others = others + numbers[i + 1]
    table.insert(leases, numbers[i])
  end
end
local held, asked, max = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local granted = math.max(0, math.min(asked, max - others - held))
if held + granted > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], held + granted)
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
else
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return { granted, unpack(leases) }
`)

/** KEYS the numbers of a user by lease. Answers leases and numbers in turn. */
const READ = script(`return redis.call('HGETALL', KEYS[1])`)

/** What a node writes of a user. */
export interface OwnNumber {
  readonly held: number
  readonly asked: number
  readonly max: number
}

/** How many connections each user has on each node, in Redis: one hash for each user, one number for each lease. */
export class LeaseNumbers {
  readonly #link: RedisLink
  readonly #lease: NodeLease

  constructor(link: RedisLink, lease: NodeLease) {
    this.#link = link
    this.#lease = lease
  }

  /** @param name tells the places of one cap from those of others */
  keyOf(name: string, userId: string): string {
    return this.#link.keys.of('connections', hashText(name, userId))
  }

  /**
   * Writes the number of this node under its lease.
   * @param gone leases whose numbers are dropped
   * @throws RedisFailure
   */
  async write(key: string, { held, asked, max }: OwnNumber, gone: readonly string[]): Promise<{ granted: number; others: string[] }> {
    const answer = await this.#link.commands.run(WRITE, key, [this.#lease.id, held, asked, max, KEEP_MS, ...gone])
    const [granted, ...others] = Object.values(Object(answer))
    return { granted: Number(granted), others: others.map(String) }
  }

  /**
   * Are there no places left for the user, of whom this node has so many connections? Changes nothing.
   * @throws RedisFailure
   */
  async isFull(key: string, held: number, max: number): Promise<boolean> {
    const others = this.#others(await this.#link.commands.run(READ, key, []))
    if (held + sum(others) < max) return false
    for (const lease of await this.#lease.ended([...others.keys()])) others.delete(lease)
    return held + sum(others) >= max
  }

  #others(answer: unknown): Map<string, number> {
    const parts = Object.values(Object(answer)).map(String)
    const numbers = new Map<string, number>()
    for (let i = 0; i < parts.length; i += 2) numbers.set(String(parts[i]), Number(parts[i + 1]))
    numbers.delete(this.#lease.id)
    return numbers
  }
}

function sum(numbers: ReadonlyMap<string, number>): number {
  return [...numbers.values()].reduce((total, number) => total + number, 0)
}
