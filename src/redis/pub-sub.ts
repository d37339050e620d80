import type { Clock } from '../clock.js'
import { isClusterConnection, type RedisConnection } from './client.js'
import { ClusterPubSub } from './cluster-pub-sub.js'
import type { RedisFailure } from './failure.js'
import type { RedisLink } from './link.js'
import { CLASSIC, Subscriptions } from './subscriptions.js'

/** What publishing and subscribing tell. */
export interface PubSubEvents {
  /** A message has come on a channel that is subscribed to; each once, and those of one publisher in its order. */
  received(channel: string, text: string): void
  /** What is published to the channel arrives from now on. */
  confirmed(channel: string): void
  /** A subscription was not made, and will be tried again. */
  failed(failure: RedisFailure): void
}

/** Publishes to channels and subscribes to them, on one server, behind Sentinel or on a Cluster. */
export interface PubSub {
  /** Resolves when what is published is sent, if that does not take too long. Never rejects. */
  start(): Promise<void>
  /** @throws RedisFailure when it is not known to be published */
  publish(channel: string, text: string): Promise<unknown>
  /** Subscribes, now or as soon as it can be; not to be called twice for a channel. */
  subscribe(channel: string): void
  unsubscribe(channel: string): void
  isConfirmed(channel: string): boolean
  /** Looks whether all is as it should be, and mends it; to be called every few seconds. */
  check(): void
  close(): void
}

export function createPubSub(link: RedisLink, clock: Clock, events: PubSubEvents): PubSub {
  const { subscriber } = link
  return isClusterConnection(subscriber)
    ? new ClusterPubSub(link, subscriber, clock, events)
    : new ServerPubSub(link, subscriber, clock, events)
}

/** On one server, which Sentinel may replace. */
class ServerPubSub implements PubSub {
  readonly #link: RedisLink
  readonly #subscriptions: Subscriptions

  constructor(link: RedisLink, subscriber: RedisConnection, clock: Clock, events: PubSubEvents) {
    this.#link = link
    this.#subscriptions = new Subscriptions(subscriber, {
      way: CLASSIC,
      clock,
      timeoutMs: link.commands.timeoutMs,
      received: events.received,
      confirmed: events.confirmed,
      troubled: (failure) => failure && events.failed(failure)
    })
  }

  async start(): Promise<void> {}

  publish(channel: string, text: string): Promise<unknown> {
    return this.#link.commands.call(CLASSIC.publish, [channel, text])
  }

  subscribe(channel: string): void {
    this.#subscriptions.add(channel)
  }

  unsubscribe(channel: string): void {
    this.#subscriptions.remove(channel)
  }

  isConfirmed(channel: string): boolean {
    return this.#subscriptions.isConfirmed(channel)
  }

  check(): void {
    void this.#subscriptions.check()
  }

  close(): void {
    this.#subscriptions.close()
  }
}
