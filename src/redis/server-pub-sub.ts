import type { Clock } from '../clock.js'
import type { RedisConnection } from './client.js'
import type { RedisLink } from './link.js'
import type { PubSub, PubSubEvents } from './pub-sub.js'
import { CLASSIC, Subscriptions } from './subscriptions.js'

/** On one server, which Sentinel may replace. */
export class ServerPubSub implements PubSub {
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
