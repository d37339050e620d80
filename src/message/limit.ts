import type { RateSettings } from '../options.js'

/** Whom a limit counts by. */
export type LimitScope = 'connection' | 'user' | 'ip'

/** Who is at the other end of a connection, as limits tell peers apart. */
export interface LimitedPeer {
  readonly userId: string
  /** The address, IPv6 as its /64. */
  readonly ipKey: string
}

/** What a limit needs to know of a connection. */
export interface LimitedConnection extends LimitedPeer {
  /** The connection's own buckets, by the index of the limit. */
  readonly buckets: number[]
}

/**
 * A limit on messages. The seam for limits that several processes share: it answers at once,
 * so that no message waits for a round trip.
 */
export interface MessageLimit {
  /** Takes one message out of the bucket: 0 when there was one, else the milliseconds until there is. Takes nothing then. */
  take(connection: LimitedConnection, now: number): number
}

/** A limit whose state outlives connections and has to be swept. */
export interface SweptLimit extends MessageLimit {
  /** Finds out what other processes have counted, before a connection is opened. Never rejects. */
  prepare?(peer: LimitedPeer): Promise<void>
  /** Forgets the buckets that are full again, now and then; may be called as often as one likes. */
  sweep(now: number): void
  readonly size: number
}

/** Makes a limit that counts all connections of a user or an address together; `name` tells it from others. */
export type CreateSharedLimit = (rate: RateSettings, scope: 'user' | 'ip', name: string) => SweptLimit

/**
 * The generic cell rate algorithm (ITU-T I.371, the virtual scheduling form): a token bucket whose whole state is
 * the time at which it will be full again. `burst` tokens at once; one comes back every `timeWindow / max`.
 */
export class Gcra {
  readonly #intervalMs: number
  readonly #toleranceMs: number

  constructor(rate: RateSettings) {
    this.#intervalMs = rate.timeWindowMs / rate.max
    // times are rounded when they are added up: half a token, or half a millisecond, is let pass rather than a whole one refused
    this.#toleranceMs = this.#intervalMs * (rate.burst - 1) + Math.min(this.#intervalMs, 1) / 2
  }

  /** Milliseconds until a token is there; 0 when there is one. */
  wait(fullAt: number, now: number): number {
    const wait = fullAt - now - this.#toleranceMs
    return wait > 0 ? Math.ceil(wait) : 0
  }

  /** The state after a token is taken. */
  next(fullAt: number, now: number): number {
    return Math.max(fullAt, now) + this.#intervalMs
  }
}

/** Counts each connection by itself; its state goes with the connection. */
export class ConnectionLimit implements MessageLimit {
  readonly #rule: Gcra
  readonly #index: number

  /** @param index where in `connection.buckets` this limit keeps its state */
  constructor(rate: RateSettings, index: number) {
    this.#rule = new Gcra(rate)
    this.#index = index
  }

  take(connection: LimitedConnection, now: number): number {
    const fullAt = connection.buckets[this.#index] ?? 0
    const wait = this.#rule.wait(fullAt, now)
    if (wait === 0) connection.buckets[this.#index] = this.#rule.next(fullAt, now)
    return wait
  }
}

const SWEEP_INTERVAL_MS = 10_000

/** Counts all connections of a user or an address on this node alone. */
export const localSharedLimit: CreateSharedLimit = (rate, scope) => new SharedLimit(rate, scope)

/** Counts all connections of a user or an address together, in the memory of the process. */
export class SharedLimit implements SweptLimit {
  readonly #rule: Gcra
  readonly #keyOf: (connection: LimitedConnection) => string
  readonly #fullAt = new Map<string, number>()
  #nextSweepAt = 0

  constructor(rate: RateSettings, scope: 'user' | 'ip') {
    this.#rule = new Gcra(rate)
    this.#keyOf = scope === 'user' ? (connection) => connection.userId : (connection) => connection.ipKey
  }

  take(connection: LimitedConnection, now: number): number {
    const key = this.#keyOf(connection)
    const fullAt = this.#fullAt.get(key) ?? 0
    const wait = this.#rule.wait(fullAt, now)
    if (wait === 0) this.#fullAt.set(key, this.#rule.next(fullAt, now))
    return wait
  }

  sweep(now: number): void {
    if (now < this.#nextSweepAt) return
    this.#nextSweepAt = now + SWEEP_INTERVAL_MS
    for (const [key, fullAt] of this.#fullAt) {
      if (fullAt <= now) this.#fullAt.delete(key)
    }
  }

  get size(): number {
    return this.#fullAt.size
  }
}
