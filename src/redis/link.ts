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

const TRIAL = script('return 1')

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
  #isTold = false
  #refused: ((failure: RedisFailure) => void) | undefined

  constructor({ client, prefix, timeoutMs, clock, log }: RedisLinkOptions) {
    this.keys = new RedisKeys(keyPrefixOf(client) + prefix)
    this.connection = openCommands(client)
    this.subscriber = openSubscriber(client)
    this.commands = new RedisCommands(this.connection, clock, timeoutMs)
    this.#clock = clock
    this.#log = log
    for (const connection of [this.connection, this.subscriber]) connection.on('error', (error: unknown) => this.#failed(error))
    this.connection.on('ready', () => this.#ready())
  }

  /** Runs the listener whenever Redis is there, at first and again. */
  onReady(listener: () => void): void {
    this.#onReady.push(listener)
  }

  /**
   * Connects. Where there is no Redis the app starts all the same, and everything heals when there is.
   * @throws FST_WS_TICKET_REDIS_REFUSED when the server does not let this client in
   */
  async start(): Promise<void> {
    let stop = () => {}
    const outcomes = [
      new Promise<RedisFailure>((resolve) => {
        this.#refused = resolve
      }),
      new Promise<undefined>((resolve) => {
        stop = this.#clock.every(START_MS, () => resolve(undefined))
      }),
      this.#connect()
    ]
    const failure = await Promise.race(outcomes)
    stop()
    this.#refused = undefined
    if (failure === undefined) return
    this.close()
    throw fail('REDIS_REFUSED', [failure.code])
  }

  close(): void {
    this.commands.close()
    this.connection.disconnect()
    this.subscriber.disconnect()
  }

  /** Undefined once it is connected and may do what it has to. */
  async #connect(): Promise<RedisFailure | undefined> {
    this.subscriber.connect().catch(() => {})
    try {
      await this.connection.connect()
      await this.commands.run(TRIAL, this.keys.of('trial'), [])
      return undefined
    } catch (error) {
      const failure = failureOf(error)
      // else the client goes on trying, and 'error' tells why it fails
      return REFUSALS.has(failure.code) ? failure : await new Promise(() => {})
    }
  }

  #ready(): void {
    if (this.#isTold) this.#log.info('Redis is there again')
    this.#isTold = false
    for (const listener of this.#onReady) listener()
  }

  /** One line for each time that it goes away. */
  #failed(error: unknown): void {
    const failure = failureOf(error)
    if (REFUSALS.has(failure.code)) this.#refused?.(failure)
    if (this.#isTold) return
    this.#isTold = true
    this.#log.error({ code: failure.code, reason: failure.message }, 'Redis can not be reached; newcomers are refused until it is there')
  }
}
