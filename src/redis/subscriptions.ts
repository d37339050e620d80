import type { Clock } from '../clock.js'
import type { RedisConnection } from './client.js'
import { RedisCommands } from './commands.js'
import { failureOf, type RedisFailure } from './failure.js'

/** The names of commands in small letters, since clients do not know all of them in capitals. */
export const CLASSIC = { publish: 'publish', subscribe: 'subscribe', unsubscribe: 'unsubscribe', message: 'message' } as const
/** What is published reaches the servers of one shard instead of all of a Cluster. Redis 7 and later. */
export const SHARDED = { publish: 'spublish', subscribe: 'ssubscribe', unsubscribe: 'sunsubscribe', message: 'smessage' } as const

export interface SubscriptionsOptions {
  readonly way: typeof CLASSIC | typeof SHARDED
  readonly clock: Clock
  readonly timeoutMs: number
  /** A message has come on a channel that is subscribed to. */
  received(channel: string, text: string): void
  /** What is published to the channel arrives from now on. */
  confirmed(channel: string): void
  /** The connection is lost, or does not have the subscriptions that it should have. */
  troubled(failure?: RedisFailure): void
}

interface Subscription {
  isConfirmed: boolean
}

/** So many are asked for at a time when all are to be made again. */
const BATCH = 500
/** So many checks in a row that fail, and the connection is given up. */
const MAX_FAILED_CHECKS = 2

/** What one connection is subscribed to: kept here, and subscribed to again whenever the connection is made anew. */
export class Subscriptions {
  readonly #connection: RedisConnection
  readonly #options: SubscriptionsOptions
  readonly #channels = new Map<string, Subscription>()
  readonly #listeners: readonly [event: string, listener: (...values: never[]) => void][]
  /** Those of the connection as it is; another one has others. */
  #commands: RedisCommands
  #isSubscribingAll = false
  #failedChecks = 0

  constructor(connection: RedisConnection, options: SubscriptionsOptions) {
    this.#connection = connection
    this.#options = options
    this.#commands = this.#newCommands()
    this.#listeners = [
      ['ready', () => this.#connected()],
      ['close', () => this.#disconnected()],
      // a server of a Cluster does not have the slot any more
      ['moved', () => options.troubled()],
      ['error', () => options.troubled()],
      [options.way.message, (channel: string, text: string) => this.#received(channel, text)]
    ]
    for (const [event, listener] of this.#listeners) connection.on(event, listener)
    if (this.#commands.isReady) this.#connected()
  }

  get size(): number {
    return this.#channels.size
  }

  isConfirmed(channel: string): boolean {
    return this.#channels.get(channel)?.isConfirmed === true
  }

  add(channel: string): void {
    const subscription = { isConfirmed: false }
    this.#channels.set(channel, subscription)
    if (this.#commands.isReady) void this.#subscribe(channel, subscription)
  }

  remove(channel: string): void {
    this.#channels.delete(channel)
    // one that stays is found by the next check
    if (this.#commands.isReady) this.#commands.call(this.#options.way.unsubscribe, [channel]).catch(() => {})
  }

  /**
   * Finds out whether the peer is there and knows all subscriptions, by subscribing once more to one of them: the answer says
   * how many there are.
   */
  async check(): Promise<void> {
    const [any] = this.#channels
    if (!any || this.#isSubscribingAll || !this.#commands.isReady) return
    const due = this.#channels.size
    const count = await this.#subscribe(...any)
    if (count === undefined) return this.#checkFailed()
    this.#failedChecks = 0
    if (count > due) return this.#connection.disconnect(true)
    if (count === due) return
    this.#options.troubled()
    await this.#subscribeAll()
  }

  /** Listens no longer; the connection is its owner's to close. */
  close(): void {
    for (const [event, listener] of this.#listeners) this.#connection.off(event, listener)
    this.#commands.close()
    this.#channels.clear()
  }

  #newCommands(): RedisCommands {
    return new RedisCommands(this.#connection, this.#options.clock, this.#options.timeoutMs)
  }

  #connected(): void {
    this.#commands = this.#newCommands()
    this.#failedChecks = 0
    void this.#subscribeAll()
  }

  #disconnected(): void {
    this.#commands.close()
    for (const subscription of this.#channels.values()) subscription.isConfirmed = false
    this.#options.troubled()
  }

  #checkFailed(): void {
    if (++this.#failedChecks === MAX_FAILED_CHECKS) this.#connection.disconnect(true)
  }

  #received(channel: string, text: string): void {
    if (this.#channels.has(channel)) this.#options.received(channel, text)
  }

  async #subscribeAll(): Promise<void> {
    const channels = [...this.#channels]
    this.#isSubscribingAll = true
    // ends when the connection does: nothing is answered any more then
    while (channels.length > 0 && this.#commands.isReady) {
      const wanted = channels.splice(0, BATCH).filter(([channel, subscription]) => this.#channels.get(channel) === subscription)
      await Promise.all(wanted.map(([channel, subscription]) => this.#subscribe(channel, subscription)))
    }
    this.#isSubscribingAll = false
  }

  /** How many subscriptions the connection has now; undefined where it failed. */
  async #subscribe(channel: string, subscription: Subscription): Promise<number | undefined> {
    try {
      const count = Number(await this.#commands.call(this.#options.way.subscribe, [channel]))
      if (this.#channels.get(channel) === subscription) this.#confirm(channel, subscription)
      return count
    } catch (error) {
      // one that nobody wants any more is no trouble
      if (this.#channels.get(channel) === subscription) this.#options.troubled(failureOf(error))
      return undefined
    }
  }

  #confirm(channel: string, subscription: Subscription): void {
    if (subscription.isConfirmed) return
    subscription.isConfirmed = true
    this.#options.confirmed(channel)
  }
}
