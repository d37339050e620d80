import type { Clock } from '../clock.js'
import { fail } from '../errors.js'
import type { LeaseNumbers } from './lease-numbers.js'
import type { NodeLease } from './node-lease.js'

type Release = () => void

interface Asking {
  resolve(release: Release | undefined): void
  reject(error: Error): void
}

/** Whom a count tells of itself. */
export interface CountOwner {
  readonly clock: Clock
  readonly lease: NodeLease
  readonly numbers: LeaseNumbers
  /** A place was given back; the number has to be written. */
  changed(count: UserCount): void
  /** Redis has answered, or failed. */
  turned(count: UserCount, hasFailed: boolean): void
}

export interface CountOptions {
  readonly key: string
  readonly max: number
  /** The counts of this cap that hold places. */
  readonly holders: Set<UserCount>
}

/** A number in Redis is written again after so long; what dead nodes have left is then dropped. */
export const REWRITE_MS = 600_000

/**
 * The places of one user that this node has given out. They are written to Redis as a number, never as a difference, and one
 * write after another, so that an older one never lands on a newer one; what changes meanwhile goes along with the next.
 */
export class UserCount {
  readonly key: string
  readonly max: number
  /** When Redis was last told, or should have been. */
  turnedAt: number
  readonly #owner: CountOwner
  readonly #holders: Set<UserCount>
  #held = 0
  #asking: Asking[] = []
  #lastTurn: Promise<boolean> = Promise.resolve(true)
  /** The one that has not begun. */
  #nextTurn: Promise<boolean> | undefined
  /** What stands in Redis, as far as is known, and under which lease. */
  #written: number | undefined
  #writtenUnder = ''

  constructor(owner: CountOwner, { key, max, holders }: CountOptions) {
    this.#owner = owner
    this.key = key
    this.max = max
    this.#holders = holders
    this.turnedAt = owner.clock.now()
  }

  get held(): number {
    return this.#held
  }

  /** Does Redis have the number as it is? */
  get isWritten(): boolean {
    return this.#written === this.#held && this.#writtenUnder === this.#owner.lease.id
  }

  /** Is there nothing to keep, and nothing under way? */
  get isIdle(): boolean {
    return this.#held === 0 && this.isWritten && !this.#nextTurn
  }

  /** @throws FST_WS_TICKET_UNAVAILABLE */
  async take(): Promise<Release | undefined> {
    if (this.#held >= this.max) return undefined
    return await new Promise((resolve, reject) => {
      this.#asking.push({ resolve, reject })
      void this.write()
    })
  }

  /** Writes the number, after what is under way. Answers whether Redis has it now; never rejects. */
  write(): Promise<boolean> {
    this.#nextTurn ??= this.#lastTurn.then(() => this.#turn())
    this.#lastTurn = this.#nextTurn
    return this.#nextTurn
  }

  /** Gives all places back. */
  vacate(): Promise<boolean> {
    this.#hold(0)
    return this.write()
  }

  async #turn(): Promise<boolean> {
    this.#nextTurn = undefined
    const asking = this.#asking.splice(0)
    const failure = await this.#serve(asking).catch((error: unknown) => fail('UNAVAILABLE', [], { retryAfterMs: 1000, cause: error }))
    for (const { resolve, reject } of asking) {
      if (failure) reject(failure)
      else resolve(undefined)
    }
    this.turnedAt = this.#owner.clock.now()
    this.#owner.turned(this, failure !== undefined)
    return this.isWritten
  }

  /** Gives out what there is, and takes those who get a place out of those who ask. Nodes that are gone must not keep any. */
  async #serve(asking: Asking[]): Promise<undefined> {
    const others = await this.#write(asking, [])
    const isOld = this.#owner.clock.now() - this.turnedAt >= REWRITE_MS
    if (others.length === 0 || (asking.length === 0 && !isOld)) return
    const gone = await this.#owner.lease.ended(others)
    if (gone.length > 0) await this.#write(asking, gone)
  }

  /** @returns the other leases under which the user has connections */
  async #write(asking: Asking[], gone: readonly string[]): Promise<string[]> {
    const { numbers, lease } = this.#owner
    const held = this.#held
    const former = this.#writtenUnder
    this.#written = undefined
    this.#writtenUnder = lease.id
    const { granted, others } = await numbers.write(this.key, { held, asked: asking.length, max: this.max }, [former, ...gone])
    this.#written = held + granted
    this.#hold(this.#held + granted)
    for (const { resolve } of asking.splice(0, granted)) resolve(this.#place())
    return others
  }

  /** What gives a place back, once. */
  #place(): Release {
    let isHeld = true
    return () => {
      if (!isHeld || this.#held === 0) return
      isHeld = false
      this.#hold(this.#held - 1)
      this.#owner.changed(this)
    }
  }

  #hold(held: number): void {
    this.#held = held
    if (held > 0) this.#holders.add(this)
    else this.#holders.delete(this)
  }
}
