import type { Clock } from '../clock.js'
import type { RedisConnection } from './client.js'
import { failureOf, RedisFailure } from './failure.js'
import type { RedisScript } from './script.js'

/** How often what is overdue is looked for. */
const ROUND_MS = 25
/** Commands that were sent and not answered, late ones included; more are not sent, or they would pile up in memory. */
const MAX_UNANSWERED = 20_000

type Argument = string | number

interface Waiting {
  readonly dueAt: number
  readonly reject: (failure: RedisFailure) => void
}

/** Sends commands, each with a deadline. What is answered later is dropped; what can't be sent at once fails at once. */
export class RedisCommands {
  readonly #connection: RedisConnection
  readonly #clock: Clock
  readonly #timeoutMs: number
  /** In the order in which they are due. */
  readonly #waiting = new Set<Waiting>()
  #unanswered = 0
  #stopRounds: (() => void) | undefined

  constructor(connection: RedisConnection, clock: Clock, timeoutMs: number) {
    this.#connection = connection
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  get timeoutMs(): number {
    return this.#timeoutMs
  }

  /** Is there a server to send commands to? */
  get isReady(): boolean {
    return this.#connection.status === 'ready'
  }

  /** @throws RedisFailure */
  call(command: string, args: readonly Argument[]): Promise<unknown> {
    return this.#inTime(this.#connection, command, args)
  }

  /** @throws RedisFailure */
  callOn(node: RedisConnection, command: string, args: readonly Argument[]): Promise<unknown> {
    return this.#inTime(node, command, args)
  }

  /**
   * Runs a script on its one key.
   * @throws RedisFailure
   */
  run(script: RedisScript, key: string, args: readonly Argument[]): Promise<unknown> {
    return this.#inTime(this.#connection, 'EVALSHA', [script.sha, 1, key, ...args], script)
  }

  /** Lets nobody wait any longer. */
  close(): void {
    for (const waiting of this.#waiting) this.#giveUp(waiting, new RedisFailure('CLOSED', 'the app is closing'))
  }

  /** @param script what is run: a server that does not know it is sent it whole */
  #inTime(connection: RedisConnection, command: string, args: readonly Argument[], script?: RedisScript): Promise<unknown> {
    if (!this.isReady) return Promise.reject(new RedisFailure('UNREACHABLE', 'not connected'))
    if (this.#unanswered >= MAX_UNANSWERED) return Promise.reject(new RedisFailure('BUSY', 'too many commands are not answered'))
    return new Promise((resolve, reject) => {
      const waiting = { dueAt: this.#clock.now() + this.#timeoutMs, reject }
      this.#wait(waiting)
      this.#unanswered++
      const answered = (answer: unknown) => {
        this.#settled(waiting)
        resolve(answer)
      }
      const failed = (error: unknown) => {
        this.#settled(waiting)
        reject(failureOf(error))
      }
      const failedAtFirst = (error: unknown) => {
        const isUnknown = script && failureOf(error).code === 'NOSCRIPT'
        if (!isUnknown || !this.#waiting.has(waiting)) return failed(error)
        send(connection, 'EVAL', [script.source, ...args.slice(1)]).then(answered, failed)
      }
      send(connection, command, args).then(answered, failedAtFirst)
    })
  }

  #settled(waiting: Waiting): void {
    this.#unanswered--
    this.#forget(waiting)
  }

  #wait(waiting: Waiting): void {
    this.#waiting.add(waiting)
    this.#stopRounds ??= this.#clock.every(ROUND_MS, () => this.#round())
  }

  #forget(waiting: Waiting): void {
    this.#waiting.delete(waiting)
    if (this.#waiting.size > 0) return
    this.#stopRounds?.()
    this.#stopRounds = undefined
  }

  #giveUp(waiting: Waiting, failure: RedisFailure): void {
    this.#forget(waiting)
    waiting.reject(failure)
  }

  #round(): void {
    const now = this.#clock.now()
    for (const waiting of this.#waiting) {
      if (waiting.dueAt > now) return
      this.#giveUp(waiting, new RedisFailure('TIMEOUT', `not answered within ${this.#timeoutMs} ms`))
    }
  }
}

/** A client may throw where it should reject. */
function send(connection: RedisConnection, command: string, args: readonly Argument[]): Promise<unknown> {
  try {
    return connection.call(command, args)
  } catch (error) {
    return Promise.reject(error)
  }
}
