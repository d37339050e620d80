import type { FastifyBaseLogger } from 'fastify'
import type { LimitedConnection } from './limit.js'
import type { Pipeline, Runnable } from './pipeline.js'

/** What messages need of the connection that they came by. */
export interface MessageConnection extends LimitedConnection {
  readonly log: FastifyBaseLogger
  readonly pipeline: Pipeline<MessageCall>
  /** Is its session still on? Closes it where it has run out. */
  isInSession(): boolean
  /** Sends a frame; false when the connection is not there for it any more. */
  write(frame: string): boolean
  /** Closes the connection; afterwards nothing is written. */
  end(code: number, reason: string): void
}

/** A message that has passed all checks, on its way through its handler. */
export interface MessageCall extends Runnable {
  readonly id: number | undefined
  readonly type: string
  readonly connection: MessageConnection
}
