import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import type { Redis } from 'ioredis'
import { LocalRooms, type Member, type Rooms } from './rooms.js'

/** How long a process that has died is taken for being there. */
const LEASE_MS = 30_000
const RENEWAL_MS = LEASE_MS / 3
const PREFIX = 'chat:room:'

/**
 * The rooms of several processes that share a Redis. Each keeps its own, and puts the names in each of its rooms into a sorted
 * set, with the time until which they hold. While Redis is away each knows of its own only.
 */
export class RedisRooms implements Rooms {
  readonly #local = new LocalRooms()
  readonly #redis: Redis
  readonly #log: FastifyBaseLogger
  readonly #node = randomUUID()
  readonly #timer: NodeJS.Timeout

  constructor(redis: Redis, log: FastifyBaseLogger) {
    this.#redis = redis
    this.#log = log
    this.#timer = setInterval(() => void this.#renew(), RENEWAL_MS)
    this.#timer.unref()
  }

  async join(room: string, member: Member): Promise<void> {
    await this.#local.join(room, member)
    await this.#tell(room, [member.userId])
  }

  async leave(room: string, member: Member): Promise<void> {
    await this.#local.leave(room, member)
    // another of her connections may be in it
    if (!this.#local.names(room).includes(member.userId)) await this.#untell(room, [member.userId])
  }

  async leaveAll(member: Member): Promise<void> {
    await Promise.all(this.roomsOf(member).map((room) => this.leave(room, member)))
  }

  has(room: string, member: Member): boolean {
    return this.#local.has(room, member)
  }

  roomsOf(member: Member): string[] {
    return this.#local.roomsOf(member)
  }

  async namesIn(room: string): Promise<string[]> {
    const entries = await this.#whileThere([], () => this.#redis.zrangebyscore(PREFIX + room, Date.now(), '+inf'))
    const names = entries.map((entry) => entry.slice(this.#node.length + 1))
    return [...new Set([...names, ...this.#local.names(room)])].sort()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#local.all.map((room) => this.#untell(room, this.#local.names(room))))
    await this.#local.close()
  }

  async #renew(): Promise<void> {
    await Promise.all(this.#local.all.map((room) => this.#tell(room, this.#local.names(room))))
  }

  async #tell(room: string, names: string[]): Promise<void> {
    const until = Date.now() + LEASE_MS
    const entries = names.flatMap((name) => [until, this.#entry(name)])
    await this.#whileThere(null, () =>
      this.#redis
        .multi()
        .zadd(PREFIX + room, ...entries)
        .zremrangebyscore(PREFIX + room, '-inf', Date.now())
        .pexpire(PREFIX + room, LEASE_MS)
        .exec()
    )
  }

  async #untell(room: string, names: string[]): Promise<void> {
    await this.#whileThere(0, () => this.#redis.zrem(PREFIX + room, ...names.map((name) => this.#entry(name))))
  }

  #entry(name: string): string {
    return `${this.#node} ${name}`
  }

  async #whileThere<T>(instead: T, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      this.#log.warn({ reason: error instanceof Error ? error.message : 'unknown' }, 'Redis did not say who is in a room')
      return instead
    }
  }
}
