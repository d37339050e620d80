import type { Clock } from '../clock.js'
import type { FindOutcome, IssueOutcome, TicketRecord, TicketStore } from './store.js'

const SWEEP_INTERVAL_MS = 1000

interface Entry {
  readonly record: TicketRecord
  readonly expiresAt: number
  usedBy: string | undefined
}

export interface MemoryStoreOptions {
  readonly clock: Clock
  /** Tickets in all, used ones included until they expire. */
  readonly maxTickets: number
  readonly maxTicketsPerUser: number
  /** Called for each ticket that expired unused, with the route that it would have opened. Default: nobody. */
  readonly onExpired?: (route: string) => void
}

/**
 * Keeps tickets in the memory of the process. At its cap it refuses new tickets and never drops a live one.
 */
export class MemoryTicketStore implements TicketStore {
  readonly #options: MemoryStoreOptions
  readonly #entries = new Map<string, Entry>()
  /** The hashes of each user's unused tickets. */
  readonly #unused = new Map<string, Set<string>>()
  readonly #stopSweeping: () => void
  #expired = 0

  constructor(options: MemoryStoreOptions) {
    this.#options = options
    this.#stopSweeping = options.clock.every(SWEEP_INTERVAL_MS, () => this.#sweep())
  }

  async issue(hash: string, record: TicketRecord, ttlMs: number): Promise<IssueOutcome> {
    const { clock, maxTickets, maxTicketsPerUser } = this.#options
    const mine = this.#unusedOf(record.userId)
    if (mine.length >= maxTicketsPerUser) return { outcome: 'user-full', retryAfterMs: this.#untilFirstExpiry(mine) }
    if (this.#entries.size >= maxTickets) return { outcome: 'full', retryAfterMs: SWEEP_INTERVAL_MS }
    this.#entries.set(hash, { record, expiresAt: clock.now() + ttlMs, usedBy: undefined })
    this.#addUnused(record.userId, hash)
    return { outcome: 'issued' }
  }

  async find(hash: string): Promise<FindOutcome> {
    return outcomeOf(this.#liveEntry(hash))
  }

  async redeem(hash: string, usedBy: string): Promise<FindOutcome> {
    const entry = this.#liveEntry(hash)
    const before = outcomeOf(entry)
    if (entry === undefined || before.outcome !== 'live') return before
    entry.usedBy = usedBy
    this.#removeUnused(entry.record.userId, hash)
    return before
  }

  async voidUser(userId: string | null): Promise<number> {
    const users = userId === null ? [...this.#unused.keys()] : [userId]
    const hashes = users.flatMap((user) => [...(this.#unused.get(user) ?? [])])
    for (const hash of hashes) this.#entries.delete(hash)
    for (const user of users) this.#unused.delete(user)
    return hashes.length
  }

  size(): number {
    return this.#entries.size
  }

  expired(): number {
    return this.#expired
  }

  async close(): Promise<void> {
    this.#stopSweeping()
    this.#entries.clear()
    this.#unused.clear()
  }

  #liveEntry(hash: string): Entry | undefined {
    const entry = this.#entries.get(hash)
    if (entry === undefined || entry.expiresAt <= this.#options.clock.now()) return undefined
    return entry
  }

  #unusedOf(userId: string): Entry[] {
    const hashes = [...(this.#unused.get(userId) ?? [])]
    return hashes.map((hash) => this.#liveEntry(hash)).filter((entry) => entry !== undefined)
  }

  #untilFirstExpiry(entries: Entry[]): number {
    const first = entries.reduce((least, { expiresAt }) => Math.min(least, expiresAt), Number.POSITIVE_INFINITY)
    return Math.max(1, first - this.#options.clock.now())
  }

  #sweep(): void {
    const now = this.#options.clock.now()
    for (const [hash, entry] of this.#entries) {
      if (entry.expiresAt > now) continue
      this.#entries.delete(hash)
      if (entry.usedBy !== undefined) continue
      this.#expired++
      this.#removeUnused(entry.record.userId, hash)
      this.#options.onExpired?.(entry.record.route)
    }
  }

  #addUnused(userId: string, hash: string): void {
    const hashes = this.#unused.get(userId)
    if (hashes) hashes.add(hash)
    else this.#unused.set(userId, new Set([hash]))
  }

  #removeUnused(userId: string, hash: string): void {
    const hashes = this.#unused.get(userId)
    hashes?.delete(hash)
    if (hashes?.size === 0) this.#unused.delete(userId)
  }
}

function outcomeOf(entry: Entry | undefined): FindOutcome {
  if (entry === undefined) return { outcome: 'unknown' }
  const { record, usedBy } = entry
  return usedBy === undefined ? { outcome: 'live', record } : { outcome: 'used', record, usedBy }
}
