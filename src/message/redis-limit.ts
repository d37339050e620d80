import type { FastifyBaseLogger } from 'fastify'
import type { Clock } from '../clock.js'
import type { RateSettings } from '../options.js'
import { failureOf } from '../redis/failure.js'
import { hashText } from '../redis/keys.js'
import type { RedisLink } from '../redis/link.js'
import { script } from '../redis/script.js'
import { SERVER_NOW } from '../redis/server-clock.js'
import { type CreateSharedLimit, Gcra, type LimitedConnection, type LimitedPeer, type SweptLimit } from './limit.js'

/**
 * KEYS a bucket, ARGV what was taken out of it, as the milliseconds in which that comes back. Answers in how many it will be
 * full. It is kept as that and the time, not as the time at which it is full: if the server's clock is set back, nobody waits.
 */
const CHARGE = script(`
${SERVER_NOW}
local kept = redis.call('HMGET', KEYS[1], 'fullIn', 'at')
local passed = math.max(0, now - (kept[2] or now))
local fullIn = math.max(0, (kept[1] or 0) - passed) + ARGV[1]
if fullIn > 0 then
  redis.call('HSET', KEYS[1], 'fullIn', fullIn, 'at', now)
  redis.call('PEXPIRE', KEYS[1], math.ceil(fullIn))
end
return string.format('%.17g', fullIn)
`)

const SWEEP_INTERVAL_MS = 10_000
const LINE_INTERVAL_MS = 60_000

/** Makes limits that count the connections of a user or an address on all nodes together. */
export function redisSharedLimits(link: RedisLink, { clock, log }: { clock: Clock; log: FastifyBaseLogger }): CreateSharedLimit {
  let nextLineAt = Number.NEGATIVE_INFINITY
  const failed = (error: unknown) => {
    if (clock.now() < nextLineAt) return
    nextLineAt = clock.now() + LINE_INTERVAL_MS
    const { code, message } = failureOf(error)
    log.warn({ code, reason: message }, 'this node counts messages by itself while Redis fails; more is not logged for a minute')
  }
  return (rate, scope, name) => new RedisSharedLimit({ link, clock, failed }, rate, scope, name)
}

interface LimitHost {
  readonly link: RedisLink
  readonly clock: Clock
  failed(error: unknown): void
}

/** A user or an address, as far as this node knows. */
interface Bucket {
  readonly key: string
  fullAt: number
  /** Messages that were let pass and are not on their way to Redis yet. */
  uncharged: number
  charging: Promise<void> | undefined
}

/**
 * Each node decides at once, by what it knows of the bucket, and charges what it has let pass to the common one afterwards;
 * the answer is what all nodes together have taken out, and this node waits accordingly.
 *
 * One node alone never lets pass more than the rate, whatever becomes of Redis. All together let pass the rate in the long
 * run, since what was too much is waited for; in no time T more than `nodes × burst + T × max / timeWindow`, give or take what
 * comes back while Redis is asked. They get beyond one burst only where a user's connections are open on several nodes: before
 * a connection opens, {@link prepare} has asked what the others have counted. While Redis fails each node counts for itself,
 * and what it lets pass is not charged.
 */
class RedisSharedLimit implements SweptLimit {
  readonly #host: LimitHost
  readonly #rule: Gcra
  readonly #intervalMs: number
  readonly #identify: (peer: LimitedPeer) => string
  readonly #keyOf: (value: string) => string
  readonly #buckets = new Map<string, Bucket>()
  #nextSweepAt = 0

  constructor(host: LimitHost, rate: RateSettings, scope: 'user' | 'ip', name: string) {
    this.#host = host
    this.#rule = new Gcra(rate)
    this.#intervalMs = rate.timeWindowMs / rate.max
    this.#identify = scope === 'user' ? ({ userId }) => userId : ({ ipKey }) => ipKey
    this.#keyOf = (value) => host.link.keys.of('limit', hashText(name, scope, value))
  }

  take(connection: LimitedConnection, now: number): number {
    const bucket = this.#bucketOf(connection)
    const wait = this.#rule.wait(bucket.fullAt, now)
    if (wait > 0) return wait
    bucket.fullAt = this.#rule.next(bucket.fullAt, now)
    bucket.uncharged++
    bucket.charging ??= this.#charge(bucket)
    return 0
  }

  async prepare(peer: LimitedPeer): Promise<void> {
    const bucket = this.#bucketOf(peer)
    bucket.charging ??= this.#charge(bucket)
    await bucket.charging
  }

  sweep(now: number): void {
    if (now < this.#nextSweepAt) return
    this.#nextSweepAt = now + SWEEP_INTERVAL_MS
    for (const [value, { fullAt, charging }] of this.#buckets) {
      if (fullAt <= now && !charging) this.#buckets.delete(value)
    }
  }

  get size(): number {
    return this.#buckets.size
  }

  #bucketOf(peer: LimitedPeer): Bucket {
    const value = this.#identify(peer)
    const known = this.#buckets.get(value)
    if (known) return known
    const bucket = { key: this.#keyOf(value), fullAt: 0, uncharged: 0, charging: undefined }
    this.#buckets.set(value, bucket)
    return bucket
  }

  /** One charge after another; what is let pass meanwhile goes along with the next. */
  async #charge(bucket: Bucket): Promise<void> {
    do await this.#chargeOnce(bucket)
    while (bucket.uncharged > 0)
    bucket.charging = undefined
  }

  async #chargeOnce(bucket: Bucket): Promise<void> {
    const { link, clock, failed } = this.#host
    const taken = bucket.uncharged
    const askedAt = clock.now()
    bucket.uncharged = 0
    try {
      const fullIn = Number(await link.commands.run(CHARGE, bucket.key, [taken * this.#intervalMs]))
      const fullAt = askedAt + fullIn + bucket.uncharged * this.#intervalMs
      if (fullAt > bucket.fullAt) bucket.fullAt = fullAt
    } catch (error) {
      failed(error)
    }
  }
}
