import type { FastifyBaseLogger } from 'fastify'
import type { Clock } from '../clock.js'
import type { RedisLink } from '../redis/link.js'
import { script } from '../redis/script.js'
import { SERVER_NOW } from '../redis/server-clock.js'

/** How long a node is taken for alive after it has said so. */
const LEASE_MS = 15_000
const RENEWAL_MS = LEASE_MS / 3
const RETRY_MS = 1000

/**
 * KEYS all leases by when they end, ARGV the lease of this node, the one to have if it has ended, for how long. Answers which it
 * is. None ends later than it may, though the server's clock be set back.
 */
const RENEW = script(`
${SERVER_NOW}
local lease, latest = ARGV[1], now + ARGV[3]
local endsAt = redis.call('ZSCORE', KEYS[1], lease)
if not endsAt or tonumber(endsAt) <= now then lease = ARGV[2] end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], latest, '+inf')) do redis.call('ZADD', KEYS[1], latest, other) end
redis.call('ZADD', KEYS[1], latest, lease)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return lease
`)

/** KEYS all leases, ARGV some of them. Answers those that have ended. */
const ENDED = script(`
${SERVER_NOW}
local ended = {}
for _, lease in ipairs(ARGV) do
  local endsAt = redis.call('ZSCORE', KEYS[1], lease)
  if not endsAt or tonumber(endsAt) <= now then table.insert(ended, lease) end
end
return ended
`)

/**
 * What shows other nodes that this one is alive, by the clock of the server. One that has ended never comes back: the node
 * takes another then, so that what others have dropped with the old one can not be mixed up with what it writes anew.
 */
export class NodeLease {
  readonly #link: RedisLink
  readonly #clock: Clock
  readonly #log: FastifyBaseLogger
  readonly #key: string
  #number = 0
  #renewAt = Number.NEGATIVE_INFINITY

  constructor(link: RedisLink, { clock, log }: { clock: Clock; log: FastifyBaseLogger }) {
    this.#link = link
    this.#clock = clock
    this.#log = log
    this.#key = link.keys.of('nodes')
  }

  /** The name of the lease. */
  get id(): string {
    return nameOf(this.#link, this.#number)
  }

  isDue(now: number): boolean {
    return now >= this.#renewAt
  }

  /** Renews it. Is it another one now? Where Redis fails it is due again soon. */
  async renew(): Promise<boolean> {
    const number = this.#number
    const next = nameOf(this.#link, number + 1)
    this.#renewAt = this.#clock.now() + RETRY_MS
    try {
      const isNew = (await this.#link.commands.run(RENEW, this.#key, [this.id, next, LEASE_MS])) === next
      this.#renewAt = this.#clock.now() + RENEWAL_MS
      if (isNew) this.#number = number + 1
      if (isNew && number > 0) this.#log.warn('the lease of this node in Redis had ended; its connections are counted again')
      return isNew
    } catch {
      return false
    }
  }

  /**
   * Which of these leases have ended?
   * @throws RedisFailure
   */
  async ended(leases: readonly string[]): Promise<string[]> {
    return Object.values(Object(await this.#link.commands.run(ENDED, this.#key, leases))).map(String)
  }

  /**
   * Ends it at once.
   * @throws RedisFailure
   */
  async end(): Promise<void> {
    await this.#link.commands.call('ZREM', [this.#key, this.id])
  }
}

function nameOf({ node }: RedisLink, number: number): string {
  return `${node}.${number}`
}
