import type { FastifyBaseLogger } from 'fastify'
import type { Clock } from '../clock.js'
import type { ConnectionHost } from '../connection/host.js'
import type { LiveConnection } from '../connection/live-connection.js'
import { ConnectionRegistry } from '../connection/registry.js'
import { logFailure } from '../log-failure.js'
import type { MessageCall } from '../message/call.js'
import type { MessageLimit } from '../message/limit.js'
import type { MessageTable } from '../message/messages.js'
import { Pipeline } from '../message/pipeline.js'
import { receive } from '../message/receive.js'
import { replyOutcomes } from '../message/reply.js'
import type { Closer } from '../metrics/events.js'
import type { RouteMetrics } from '../metrics/route-metrics.js'
import type { ConnectionSettings } from '../options.js'
import type { Bus } from '../publish/bus.js'
import { EventEncoder } from '../publish/events.js'
import { Topics } from '../publish/topics.js'
import { RunningHooks } from './running-hooks.js'

/** The app's own part in the life of a connection. */
export interface LifeCycleHooks {
  onOpen?: (connection: LiveConnection) => unknown
  onClose?: (connection: LiveConnection, code: number, reason: string) => unknown
}

export interface RouteHostOptions {
  readonly id: string
  readonly settings: ConnectionSettings
  readonly clock: Clock
  readonly log: FastifyBaseLogger
  readonly table: MessageTable
  readonly hooks: LifeCycleHooks
  readonly bus: Bus
  readonly metrics: RouteMetrics
}

/** One route's connections, topics and messages: what all of its connections share. */
export class RouteHost implements ConnectionHost {
  readonly id: string
  readonly settings: ConnectionSettings
  readonly clock: Clock
  readonly log: FastifyBaseLogger
  readonly table: MessageTable
  readonly metrics: RouteMetrics
  readonly events: EventEncoder
  readonly topics = new Topics<LiveConnection>()
  readonly registry = new ConnectionRegistry()
  readonly #hooks: LifeCycleHooks
  readonly #bus: Bus
  readonly #closing = new RunningHooks()
  readonly #outcomes: ReturnType<typeof replyOutcomes>

  constructor({ id, settings, clock, log, table, hooks, bus, metrics }: RouteHostOptions) {
    this.id = id
    this.settings = settings
    this.clock = clock
    this.log = log
    this.table = table
    this.metrics = metrics
    this.events = new EventEncoder(table.events, settings.maxBuffered)
    this.#hooks = hooks
    this.#bus = bus
    this.#outcomes = replyOutcomes(settings.maxBuffered)
  }

  get frameLimit(): MessageLimit {
    return this.table.frames
  }

  receive(connection: LiveConnection, text: string, now: number): void {
    receive(this, connection, text, now)
  }

  encodeEvent(event: string, payload: unknown): Buffer {
    return this.events.encode(event, payload)
  }

  subscribed(topic: string, connection: LiveConnection): Promise<void> {
    this.topics.add(topic, connection)
    return this.#bus.listen(this.id, topic)
  }

  unsubscribed(topic: string, connection: LiveConnection): void {
    this.topics.remove(topic, connection)
    if (!this.topics.has(topic)) this.#bus.unlisten(this.id, topic)
  }

  createPipeline(): Pipeline<MessageCall> {
    return new Pipeline(this.settings, this.#outcomes, () => this.clock.now())
  }

  opened(connection: LiveConnection): unknown {
    return this.#hooks.onOpen?.(connection)
  }

  closed(connection: LiveConnection, code: number, reason: string, by: Closer): void {
    this.registry.remove(connection)
    this.metrics.connectionClosed(code, by, connection.bytes)
    void this.#closing.run(() => this.#runOnClose(connection, code, reason))
  }

  tick(now: number): void {
    this.registry.tick(now)
    this.#closing.tick(now)
    for (const limit of this.table.swept) limit.sweep(now)
  }

  /**
   * Closes all connections after what they are handling is answered; resolves when the last is gone and each `onClose` is
   * done, or has had `closeTimeoutMs`.
   */
  async drain(code: number, reason: string): Promise<void> {
    for (const connection of this.registry.all()) connection.drain(code, reason)
    await this.registry.whenEmpty()
    await this.#closing.whenDone(this.clock.now() + this.settings.closeTimeoutMs)
  }

  async #runOnClose(connection: LiveConnection, code: number, reason: string): Promise<void> {
    try {
      await this.#hooks.onClose?.(connection, code, reason)
    } catch (error) {
      logFailure(connection.log, error, 'onClose failed')
    }
  }
}
