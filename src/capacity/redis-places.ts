import type { FastifyBaseLogger } from 'fastify'
import type { Clock } from '../clock.js'
import { fail } from '../errors.js'
import type { RedisLink } from '../redis/link.js'
import { LeaseNumbers } from './lease-numbers.js'
import { NodeLease } from './node-lease.js'
import type { CreateUserPlaces } from './places.js'
import { type CountOwner, REWRITE_MS, UserCount } from './user-count.js'

/** Numbers that are written at a time, besides those of users who come. */
const WRITES_AT_A_TIME = 500
/** Numbers that become due to be written again in a round, so that those of users who came at once are not written at once. */
const REWRITES_PER_ROUND = 50
const RETRY_MS = 1000

/**
 * The places for each user on all nodes together, counted in Redis. Each node writes how many it has given out, so that
 * whatever got lost is put right by the next write. What a node wrote counts while its lease lasts: the places of one that was
 * killed can be had elsewhere after 15 seconds at the latest. A node whose lease has ended, or that is connected to Redis again,
 * writes the numbers of all its users anew; until then, which is a matter of seconds, more may be let in than there are places.
 */
export class RedisPlaces implements CountOwner {
  readonly clock: Clock
  readonly lease: NodeLease
  readonly numbers: LeaseNumbers
  /** By their keys; what Redis was told of longest ago comes first. */
  readonly #counts = new Map<string, UserCount>()
  /** What Redis has to be told. */
  readonly #changed = new Set<UserCount>()
  readonly #timeoutMs: number
  #writing = 0
  #writeAt = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(link: RedisLink, { clock, log }: { clock: Clock; log: FastifyBaseLogger }) {
    this.clock = clock
    this.lease = new NodeLease(link, { clock, log })
    this.numbers = new LeaseNumbers(link, this.lease)
    this.#timeoutMs = link.commands.timeoutMs
    link.onReady(() => void this.#recount())
  }

  readonly create: CreateUserPlaces = (max, name) => {
    const holders = new Set<UserCount>()
    return {
      max,
      get keys() {
        return holders.size
      },
      take: (userId) => this.#countOf(this.numbers.keyOf(name, userId), max, holders).take(),
      isFull: (userId) => this.#isFull(this.numbers.keyOf(name, userId), max)
    }
  }

  /** Renews the lease, and writes what has to be written again; called some times a second. */
  tick(now: number): void {
    if (this.lease.isDue(now)) void this.#renew()
    let due = 0
    for (const count of this.#counts.values()) {
      if (due === REWRITES_PER_ROUND || now - count.turnedAt < REWRITE_MS) break
      this.#changed.add(count)
      due++
    }
    this.#writeChanged()
  }

  /** Gives back the places of this node, as far as that goes until the deadline of a command. */
  async close(): Promise<void> {
    this.#isClosed = true
    const dueAt = this.clock.now() + this.#timeoutMs
    // what is written under a lease that has ended does not count, so the rest is for tidiness
    let goesOn = await this.lease.end().then(
      () => true,
      () => false
    )
    const counts = [...this.#counts.values()]
    while (goesOn && counts.length > 0 && this.clock.now() < dueAt) {
      const written = await Promise.all(counts.splice(0, WRITES_AT_A_TIME).map((count) => count.vacate()))
      goesOn = written.every(Boolean)
    }
  }

  changed(count: UserCount): void {
    this.#changed.add(count)
    this.#writeChanged()
  }

  turned(count: UserCount, hasFailed: boolean): void {
    if (hasFailed) this.#writeAt = this.clock.now() + RETRY_MS
    if (count.isWritten) this.#changed.delete(count)
    else this.#changed.add(count)
    this.#counts.delete(count.key)
    if (!count.isIdle) this.#counts.set(count.key, count)
  }

  #countOf(key: string, max: number, holders: Set<UserCount>): UserCount {
    const known = this.#counts.get(key)
    if (known) return known
    const count = new UserCount(this, { key, max, holders })
    this.#counts.set(key, count)
    return count
  }

  async #isFull(key: string, max: number): Promise<boolean> {
    const held = this.#counts.get(key)?.held ?? 0
    if (held >= max) return true
    try {
      return await this.numbers.isFull(key, held, max)
    } catch (error) {
      throw fail('UNAVAILABLE', [], { retryAfterMs: 1000, cause: error })
    }
  }

  async #renew(): Promise<void> {
    if (this.#isClosed) return
    const isNew = await this.lease.renew()
    if (isNew) this.#rewriteAll()
  }

  /** Redis is there, at first or again. */
  async #recount(): Promise<void> {
    await this.#renew()
    this.#writeAt = Number.NEGATIVE_INFINITY
    this.#rewriteAll()
  }

  #rewriteAll(): void {
    for (const count of this.#counts.values()) this.#changed.add(count)
    this.#writeChanged()
  }

  #writeChanged(): void {
    for (const count of this.#changed) {
      if (this.#writing >= WRITES_AT_A_TIME || this.clock.now() < this.#writeAt) return
      this.#changed.delete(count)
      this.#writing++
      void count.write().then(() => {
        this.#writing--
        this.#writeChanged()
      })
    }
  }
}
