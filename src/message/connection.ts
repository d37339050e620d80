import type { FastifyBaseLogger } from 'fastify'
import type { MessageCall } from './call.js'
import type { LimitedConnection } from './limit.js'
import type { Pipeline } from './pipeline.js'

/** What messages need of the connection that they came by. */
export interface MessageConnection extends LimitedConnection {
  readonly id: string
  readonly log: FastifyBaseLogger
  readonly pipeline: Pipeline<MessageCall>
  /** Is its session still on? Closes it where it has run out. */
  isInSession(now: number): boolean
  /** Sends a frame; false when the connection is not there for it any more. */
  write(frame: string): boolean
  /** Closes the connection; afterwards nothing is written. */
  end(code: number, reason: string): void
}
