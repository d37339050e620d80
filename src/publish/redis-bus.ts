import type { FastifyBaseLogger } from 'fastify'
import type { Clock } from '../clock.js'
import type { Ticking } from '../connection/registry.js'
import { codeOf } from '../errors.js'
import { databaseOf } from '../redis/client.js'
import { failureOf, type RedisFailure } from '../redis/failure.js'
import { hashText } from '../redis/keys.js'
import type { RedisLink } from '../redis/link.js'
import { openPubSub } from '../redis/open-pub-sub.js'
import type { PubSub } from '../redis/pub-sub.js'
import type { Bus, BusMessage, Disconnecting, DisconnectMessage, EventMessage } from './bus.js'
import { BusEncoder, decodeBusMessage, type WireMessage } from './bus-message.js'
import { Confirmations } from './confirmations.js'
import { DisconnectLog } from './disconnect-log.js'
import type { Hub } from './hub.js'
import { SampledLine } from './sampled-line.js'

export interface RedisBusOptions {
  readonly hub: Hub
  readonly clock: Clock
  readonly log: FastifyBaseLogger
}

interface Topic {
  readonly route: string
  readonly topic: string
}

const CHECK_INTERVAL_MS = 5000
const HERE = Promise.resolve()
/** That there is no connection is told by whoever connects. */
const KNOWN: ReadonlySet<string> = new Set(['UNREACHABLE', 'CLOSED'])

/**
 * The bus of nodes that share a Redis: one channel for each topic, to which a node is subscribed while it has a subscriber, and one
 * for everything else. What is posted reaches this node's connections at once, and those of others if Redis is there: at most
 * once, those to one topic in the order of their publisher, and never later because Redis was away. Only disconnects are kept for
 * nodes that were cut off, and reach them within seconds once they are back.
 */
export class RedisBus implements Bus, Ticking {
  readonly #link: RedisLink
  readonly #hub: Hub
  readonly #encoder: BusEncoder
  readonly #pubSub: PubSub
  /** Messages to connections and users, and disconnects. */
  readonly #control: string
  /** What tells apart deployments in databases of one server, who have all channels in common. */
  readonly #database: readonly string[]
  /** The topics that have a subscriber here, by their channels. */
  readonly #topics = new Map<string, Topic>()
  readonly #confirmations: Confirmations
  readonly #lines: ReturnType<typeof sampledLines>
  readonly #disconnects: DisconnectLog
  #catchingUp: Promise<void> | undefined
  #checkAt = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(link: RedisLink, { hub, clock, log }: RedisBusOptions) {
    this.#link = link
    this.#hub = hub
    this.#encoder = new BusEncoder(link.node)
    this.#confirmations = new Confirmations(clock, link.commands.timeoutMs)
    this.#lines = sampledLines(clock, log)
    this.#disconnects = new DisconnectLog(link)
    const database = databaseOf(link.subscriber)
    this.#database = database === 0 ? [] : [`db${database}`]
    this.#control = link.keys.of(...this.#database, 'control')
    this.#pubSub = openPubSub(link, clock, {
      received: (channel, text) => this.#received(channel, text),
      confirmed: (channel) => this.#confirmations.confirm(channel),
      failed: (failure) => this.#failed(failure)
    })
    this.#pubSub.subscribe(this.#control)
  }

  /** Resolves when messages come and go, or when that takes too long. Never rejects. */
  async start(): Promise<void> {
    await this.#whenConfirmed(this.#control)
    await this.#pubSub.start()
    await this.#catchUp()
  }

  post(message: EventMessage): number {
    const reached = this.#hub.deliver(message)
    if (this.#isForOthers(message, reached)) this.#publish(message, this.#encoder.encode(message))
    return reached
  }

  disconnect(message: DisconnectMessage): Disconnecting {
    const disconnected = this.#hub.deliver(message)
    if (!this.#isForOthers(message, disconnected)) return { disconnected, kept: HERE }
    const text = this.#encoder.encode(message)
    const kept = this.#disconnects.add(text)
    kept.catch(this.#lost)
    this.#publish(message, text)
    return { disconnected, kept }
  }

  listen(route: string, topic: string): Promise<void> {
    if (this.#isClosed) return HERE
    const channel = this.#channelOf({ route, topic })
    if (!this.#topics.has(channel)) {
      this.#topics.set(channel, { route, topic })
      this.#pubSub.subscribe(channel)
    }
    return this.#whenConfirmed(channel)
  }

  unlisten(route: string, topic: string): void {
    const channel = this.#channelOf({ route, topic })
    if (!this.#topics.delete(channel)) return
    this.#pubSub.unsubscribe(channel)
    this.#confirmations.confirm(channel)
  }

  tick(now: number): void {
    for (const line of Object.values(this.#lines)) line.tick(now)
    if (now < this.#checkAt) return
    this.#checkAt = now + CHECK_INTERVAL_MS
    this.#pubSub.check()
    void this.#catchUp()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#pubSub.close()
    this.#confirmations.close()
    this.#topics.clear()
  }

  #whenConfirmed(channel: string): Promise<void> {
    return this.#pubSub.isConfirmed(channel) ? HERE : this.#confirmations.wait(channel)
  }

  #channelOf({ route, topic }: Topic): string {
    return this.#link.keys.of(...this.#database, 'topic', hashText(route, topic))
  }

  #publish(message: BusMessage, text: string): void {
    const channel = message.kind === 'publish' ? this.#channelOf(message) : this.#control
    this.#pubSub.publish(channel, text).catch(this.#lost)
  }

  /** A connection that was found on this node is on no other. */
  #isForOthers(message: BusMessage, reached: number): boolean {
    const isOnlyHere = reached > 0 && message.kind !== 'publish' && 'connection' in message.target
    return !this.#isClosed && !isOnlyHere
  }

  readonly #lost = (error: unknown): void => this.#lines.lost.add(failureOf(error).code)

  /** Does what was not heard. Where Redis fails, the next time. Never rejects. */
  #catchUp(): Promise<void> {
    this.#catchingUp ??= this.#readDisconnects().finally(() => {
      this.#catchingUp = undefined
    })
    return this.#catchingUp
  }

  async #readDisconnects(): Promise<void> {
    const texts = await this.#disconnects.read().catch(() => [])
    for (const text of texts) {
      if (!this.#encoder.isOwn(text)) this.#objectTo(this.#deliverMissed(text))
    }
  }

  #failed({ code }: RedisFailure): void {
    if (!KNOWN.has(code)) this.#lines.failed.add(code)
  }

  #received(channel: string, text: string): void {
    if (this.#encoder.isOwn(text)) return
    const message = decodeBusMessage(text, this.#hub.maxFrameBytes)
    this.#objectTo(typeof message === 'string' ? message : this.#deliver(channel, message))
  }

  #objectTo(objection: string | undefined): void {
    if (objection !== undefined) this.#lines.ignored.add(objection)
  }

  /** Something that stands in the log of disconnects. What is wrong with it; undefined where nothing is. */
  #deliverMissed(text: string): string | undefined {
    const message = decodeBusMessage(text, this.#hub.maxFrameBytes)
    if (typeof message === 'string') return message
    if (message.kind !== 'disconnect') return 'no disconnect'
    if (!this.#disconnects.wasHeard(message.id)) this.#hub.deliver(message)
    return undefined
  }

  /** What is wrong with it; undefined where nothing is. */
  #deliver(channel: string, message: WireMessage): string | undefined {
    const topic = this.#topics.get(channel)
    if (message.kind === 'publish' && topic) return verdict(this.#hub.deliverForeign({ ...message, ...topic }))
    if (message.kind === 'publish' || topic) return 'on a channel for others'
    if (message.kind === 'send') return verdict(this.#hub.deliverForeign(message))
    this.#disconnects.heard(message.id)
    this.#hub.deliver(message)
    return undefined
  }
}

function verdict(isDelivered: boolean): string | undefined {
  return isDelivered ? undefined : 'no event of the contract'
}

function sampledLines(clock: Clock, log: FastifyBaseLogger) {
  return {
    lost: new SampledLine(clock, (lost, code) => log.error({ lost, code }, 'messages did not reach the other nodes')),
    ignored: new SampledLine(clock, (ignored, reason) =>
      log.warn({ code: codeOf('BUS_MESSAGE_IGNORED'), ignored, reason }, 'messages from the bus were ignored')
    ),
    failed: new SampledLine(clock, (failed, code) => log.error({ failed, code }, 'what other nodes send may not arrive: subscribing fails'))
  }
}
