import type { RedisFailure } from './failure.js'

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
