import type { Clock } from '../clock.js'
import type { MessageConnection } from './connection.js'
import type { MessageDefinition } from './messages.js'
import type { Runnable } from './pipeline.js'

/** A message that has passed all checks, on its way through its handler. */
export class MessageCall implements Runnable {
  readonly type: string
  readonly id: number | undefined
  readonly definition: MessageDefinition
  readonly connection: MessageConnection
  readonly #payload: unknown
  readonly #clock: Clock
  #startedAt = 0

  constructor(
    frame: { readonly type: string; readonly id?: number | undefined },
    payload: unknown,
    definition: MessageDefinition,
    connection: MessageConnection,
    clock: Clock
  ) {
    this.type = frame.type
    this.id = frame.id
    this.#payload = payload
    this.definition = definition
    this.connection = connection
    this.#clock = clock
  }

  run(now: number): unknown {
    this.#startedAt = now
    return this.definition.handle(this.#payload, this.connection)
  }

  /** Counts what became of it. */
  ended(outcome: string): void {
    this.definition.metrics.ended(outcome, this.#clock.now() - this.#startedAt)
  }
}
