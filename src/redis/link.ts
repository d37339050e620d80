import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import type { Clock } from '../clock.js'
import { fail } from '../errors.js'
import { keyPrefixOf, openCommands, openSubscriber, type RedisClient, type RedisConnection } from './client.js'
import { RedisCommands } from './commands.js'
import { failureOf, type RedisFailure } from './failure.js'
import { RedisKeys } from './keys.js'
import { script } from './script.js'

export interface RedisLinkOptions {
  readonly client: RedisClient
  /** What all keys and channels begin with, after the client's own prefix. */
  readonly prefix: string
  readonly timeoutMs: number
  readonly clock: Clock
  readonly log: FastifyBaseLogger
}

/** How long a start waits for Redis; then the app starts without, and lets nobody in until it is there. */
const START_MS = 5000

/** What no waiting mends. */
const REFUSALS: ReadonlySet<string> = new Set(['WRONGPASS', 'NOAUTH', 'NOPERM'])

/** All that any script does, on a key of its own, so that what a user of Redis may not do is known at the start. */
const TRIAL = script(`
local key = KEYS[1]
redis.call('TIME')
redis.call('DEL', key)
redis.call('HSET', key, 'a', '1')
redis.call('HMGET', key, 'a')
redis.call('HGETALL', key)
redis.call('HEXISTS', key, 'a')
redis.call('HDEL', key, 'a')
redis.call('ZADD', key, 1, 'a')
redis.call('ZSCORE', key, 'a')
redis.call('ZCARD', key)
redis.call('ZRANGE', key, 0, 0)
redis.call('ZRANGEBYSCORE', key, 1, 1)
redis.call('ZREMRANGEBYSCORE', key, 2, 2)
redis.call('ZREM', key, 'a')
redis.call('INCR', key)
redis.call('PEXPIRE', key, 1000)
redis.call('PTTL', key)
redis.call('DEL', key)
redis.call('XADD', key, '1-1', 'a', '1')
redis.call('XRANGE', key, '-', '+')
redis.call('XREVRANGE', key, '+', '-')
redis.call('DEL', key)
`)

/** This node's connections to Redis: one for commands, one for subscriptions. */
export class RedisLink {
  /** Tells this node from all others, and from itself before a restart. */
  readonly node = randomUUID()
  readonly keys: RedisKeys
  readonly commands: RedisCommands
  readonly connection: RedisConnection
  readonly subscriber: RedisConnection
  readonly #clock: Clock
  readonly #log: FastifyBaseLogger
  readonly #onReady: (() => void)[] = []
  /** The connections of which it was told that they fail. */
  readonly #failing = new Set<RedisConnection>()
  /** Ends the start: with what keeps it from ever succeeding, or without. */
  #started: ((failure?: RedisFailure) => void) | undefined

  constructor({ client, prefix, timeoutMs, clock, log }: RedisLinkOptions) {
    this.keys = new RedisKeys(keyPrefixOf(client) + prefix)
    this.connection = openCommands(client)
    this.subscriber = openSubscriber(client)
    this.commands = new RedisCommands(this.connection, clock, timeoutMs)
    this.#clock = clock
    this.#log = log
    this.connection.on('ready', () => this.#ready())
    for (const connection of [this.connection, this.subscriber]) {
      connection.on('error', (error: unknown) => this.#failed(connection, failureOf(error)))
      connection.on('ready', () => this.#recovered(connection))
    }
  }

  /** Runs the listener whenever Redis is there, at first and again. */
  onReady(listener: () => void): void {
    this.#onReady.push(listener)
  }

  /**
   * Connects. Where there is no Redis the app starts all the same after a while, and everything heals when there is.
   * @throws FST_WS_TICKET_REDIS_REFUSED when the server does not let this client in
   */
  async start(): Promise<void> {
    const outcome = new Promise<RedisFailure | undefined>((resolve) => {
      this.#started = resolve
    })
    const stopWaiting = this.#clock.every(START_MS, () => this.#started?.())
    // why it fails is told by 'error', and it is tried again
    for (const connection of [this.connection, this.subscriber]) connection.connect().catch(() => {})
    const failure = await outcome
    this.#started = undefined
    stopWaiting()
    if (failure === undefined) return
    this.close()
    throw fail('REDIS_REFUSED', [failure.code])
  }

  close(): void {
    this.#started?.()
    this.commands.close()
    this.connection.disconnect()
    this.subscriber.disconnect()
  }

  #ready(): void {
    if (this.#started) void this.#tryOut()
    for (const listener of this.#onReady) listener()
  }

  /** A client that is let in may still not be allowed to do what it has to. */
  async #tryOut(): Promise<void> {
    try {
      const trial = this.keys.of('trial', this.node)
      await this.commands.run(TRIAL, trial, [])
      await this.commands.call('publish', [trial, ''])
      this.#started?.()
    } catch (error) {
      this.#refused(failureOf(error))
    }
  }

  #refused(failure: RedisFailure): void {
    if (REFUSALS.has(failure.code)) this.#started?.(failure)
  }

  /** One line for each time that it goes away. */
  #failed(connection: RedisConnection, failure: RedisFailure): void {
    this.#refused(failure)
    const isKnown = this.#failing.size > 0
    this.#failing.add(connection)
    if (isKnown) return
    this.#log.error({ code: failure.code, reason: failure.message }, 'Redis can not be reached; newcomers are refused until it is there')
  }

  #recovered(connection: RedisConnection): void {
    if (this.#failing.delete(connection) && this.#failing.size === 0) this.#log.info('Redis is there again')
  }
}
