import type { Settings } from '../options.js'
import { RedisFailure } from '../redis/failure.js'
import { hashText } from '../redis/keys.js'
import type { RedisLink } from '../redis/link.js'
import { scanKeys } from '../redis/scan.js'
import { ServerClock } from '../redis/server-clock.js'
import { COUNT, FIND, IS_UNUSED, KEEP, REDEEM, VOID } from './redis-scripts.js'
import type { FindOutcome, IssueOutcome, TicketRecord, TicketStore } from './store.js'

/** What is asked of Redis at once when tickets are voided. */
const USERS_AT_ONCE = 10
const TICKETS_AT_ONCE = 100

type RedisStoreSettings = Pick<Settings, 'clock' | 'maxTicketsPerUser' | 'redisReplicas'>

/** Keeps tickets in Redis, where all nodes find them. The cap of unused tickets per user is one for all nodes. */
export class RedisTicketStore implements TicketStore {
  readonly #link: RedisLink
  readonly #maxTicketsPerUser: number
  readonly #replicas: number
  readonly #serverClock: ServerClock

  constructor(link: RedisLink, { clock, maxTicketsPerUser, redisReplicas }: RedisStoreSettings) {
    this.#link = link
    this.#maxTicketsPerUser = maxTicketsPerUser
    this.#replicas = redisReplicas
    this.#serverClock = new ServerClock(clock)
  }

  /**
   * Keeps the ticket first and counts it then: so whatever is good stands among the user's unused tickets for all its
   * life, on a Cluster as well, where the two have clocks of their own. Nobody is told of a ticket before both are done.
   */
  async issue(hash: string, record: TicketRecord, ttlMs: number): Promise<IssueOutcome> {
    const { commands } = this.#link
    const name = hashText(hash)
    const lifeMs = Math.max(1, Math.floor(ttlMs))
    await commands.run(KEEP, this.#ticketKey(name), [JSON.stringify(record), lifeMs])
    const unused = this.#unusedKey(record.userId)
    const retryAfterMs = await this.#countWithRoom(unused, name, lifeMs)
    if (retryAfterMs === 0) return { outcome: 'issued' }
    await commands.run(VOID, this.#ticketKey(name), [])
    return { outcome: 'user-full', retryAfterMs }
  }

  async find(hash: string): Promise<FindOutcome> {
    const answer = await this.#link.commands.run(FIND, this.#ticketKey(hashText(hash)), [])
    const [now, record, usedBy] = listOf(answer)
    this.#serverClock.heard(Number(now))
    return outcomeOf(record, usedBy)
  }

  async redeem(hash: string, usedBy: string): Promise<FindOutcome> {
    const name = hashText(hash)
    // too late by a server that has another time than was thought: nothing is done, and by now its time is known
    const found = (await this.#redeemInTime(name, usedBy)) ?? (await this.#redeemInTime(name, usedBy))
    if (found === undefined) throw new RedisFailure('LATE', 'the ticket was not used, as it was too late for that')
    if (found.outcome === 'live') await this.#awaitReplicas()
    return found
  }

  async voidUser(userId: string | null): Promise<number> {
    if (userId !== null) return await this.#voidSet(this.#unusedKey(userId))
    let voided = 0
    for await (const sets of scanKeys(this.#link, 'unused')) voided += await inParts(sets, USERS_AT_ONCE, (set) => this.#voidSet(set))
    return voided
  }

  /** There are none in this process. */
  size(): number {
    return 0
  }

  async close(): Promise<void> {}

  /**
   * Undefined where it was too late. Whoever waits is refused after the deadline, and so a command that comes to the
   * server only then must not use the ticket up.
   */
  async #redeemInTime(name: string, usedBy: string): Promise<FindOutcome | undefined> {
    const { commands } = this.#link
    const notAfter = this.#serverClock.in(commands.timeoutMs)
    const answer = await commands.run(REDEEM, this.#ticketKey(name), [usedBy, notAfter])
    const [now, isInTime, record, usedBefore] = listOf(answer)
    this.#serverClock.heard(Number(now))
    return Number(isInTime) === 1 ? outcomeOf(record, usedBefore) : undefined
  }

  /** As {@link #count}, once more where used tickets have taken the room. */
  async #countWithRoom(unused: string, name: string, lifeMs: number): Promise<number> {
    const retryAfterMs = await this.#count(unused, name, lifeMs)
    if (retryAfterMs === 0) return 0
    await this.#forgetUsed(unused)
    return await this.#count(unused, name, lifeMs)
  }

  /** Adds a ticket to its user's: 0, or after how many milliseconds there is room for it. */
  async #count(unused: string, name: string, lifeMs: number): Promise<number> {
    return Number(await this.#link.commands.run(COUNT, unused, [name, lifeMs, this.#maxTicketsPerUser]))
  }

  /** Used tickets stand among the unused ones until the room is needed, so that using one is one command. */
  async #forgetUsed(unused: string): Promise<void> {
    const { commands } = this.#link
    const names = listOf(await commands.call('ZRANGE', [unused, 0, -1])).map(String)
    const lives = await Promise.all(names.map((name) => commands.run(IS_UNUSED, this.#ticketKey(name), [])))
    const used = names.filter((_, index) => Number(lives[index]) === 0)
    if (used.length > 0) await commands.call('ZREM', [unused, ...used])
  }

  /**
   * A redemption that fewer replicas have than are asked for may be undone by a failover, and so lets nobody in. The command
   * is about all that this connection has written before.
   */
  async #awaitReplicas(): Promise<void> {
    if (this.#replicas === 0) return
    const { commands } = this.#link
    // so that the answer comes before its own deadline
    const reached = Number(await commands.call('WAIT', [this.#replicas, Math.ceil(commands.timeoutMs / 2)]))
    if (reached < this.#replicas) throw new RedisFailure('NOREPLICAS', `${reached} replicas have the redemption`)
  }

  /** Those that are void are forgotten last, so that whoever tries again after a failure finds the others. */
  async #voidSet(set: string): Promise<number> {
    const { commands } = this.#link
    const names = listOf(await commands.call('ZRANGE', [set, 0, -1])).map(String)
    if (names.length === 0) return 0
    const voided = await inParts(names, TICKETS_AT_ONCE, async (name) => Number(await commands.run(VOID, this.#ticketKey(name), [])))
    await commands.call('ZREM', [set, ...names])
    return voided
  }

  #ticketKey(name: string): string {
    return this.#link.keys.of('ticket', name)
  }

  #unusedKey(userId: string): string {
    return this.#link.keys.of('unused', hashText(userId))
  }
}

function outcomeOf(record: unknown, usedBy: unknown): FindOutcome {
  if (typeof record !== 'string') return { outcome: 'unknown' }
  const parsed = parseRecord(record)
  return typeof usedBy === 'string' ? { outcome: 'used', record: parsed, usedBy } : { outcome: 'live', record: parsed }
}

function parseRecord(text: string): TicketRecord {
  try {
    // what is no record at all has nothing of one, and is refused for that
    return Object(JSON.parse(text))
  } catch {
    // the parser's own message says what it could not read
    throw new Error('a ticket in Redis is not JSON')
  }
}

function listOf(answer: unknown): unknown[] {
  return Object.values(Object(answer))
}

/** Counts so many at a time, and answers the sum. */
async function inParts(items: readonly string[], size: number, count: (item: string) => Promise<number>): Promise<number> {
  let sum = 0
  for (let at = 0; at < items.length; at += size) {
    const counted = await Promise.all(items.slice(at, at + size).map(count))
    sum += counted.reduce((total, one) => total + one, 0)
  }
  return sum
}
