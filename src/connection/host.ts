import type { FastifyBaseLogger } from 'fastify'
import type { Clock } from '../clock.js'
import type { MessageCall } from '../message/call.js'
import type { MessageLimit } from '../message/limit.js'
import type { Pipeline } from '../message/pipeline.js'
import type { Closer } from '../metrics/events.js'
import type { ConnectionSettings } from '../options.js'
import type { LiveConnection } from './live-connection.js'

/** What a route does for its connections. One for all of them, so that a connection holds no closures. */
export interface ConnectionHost {
  /** The route's path, with its constraints. */
  readonly id: string
  readonly settings: ConnectionSettings
  readonly clock: Clock
  readonly log: FastifyBaseLogger
  /** Frames that complete no message. */
  readonly frameLimit: MessageLimit
  /** Handles one message of an open connection. Must not throw. */
  receive(connection: LiveConnection, text: string, now: number): void
  createPipeline(): Pipeline<MessageCall>
  /** The frame of an event of the contract. */
  encodeEvent(event: string, payload: unknown): Buffer
  /** Resolves when what other nodes publish arrives, too; never rejects. */
  subscribed(topic: string, connection: LiveConnection): Promise<void>
  unsubscribed(topic: string, connection: LiveConnection): void
  opened(connection: LiveConnection): unknown
  closed(connection: LiveConnection, code: number, reason: string, by: Closer): void
}
