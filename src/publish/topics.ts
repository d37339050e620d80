import { fail } from '../errors.js'
import { show } from '../option-schema.js'

/**
 * A topic that is none would reach nobody, and nobody would notice.
 * @throws FST_WS_TICKET_INVALID_TOPIC
 */
export function checkTopic(topic: unknown): void {
  if (typeof topic !== 'string') throw fail('INVALID_TOPIC', [show(topic)])
}

/** Who is subscribed to which topic of a route. An empty topic is forgotten. */
export class Topics<Subscriber> {
  readonly #subscribers = new Map<string, Set<Subscriber>>()

  add(topic: string, subscriber: Subscriber): void {
    const subscribers = this.#subscribers.get(topic)
    if (subscribers) subscribers.add(subscriber)
    else this.#subscribers.set(topic, new Set([subscriber]))
  }

  has(topic: string): boolean {
    return this.#subscribers.has(topic)
  }

  remove(topic: string, subscriber: Subscriber): void {
    const subscribers = this.#subscribers.get(topic)
    if (!subscribers?.delete(subscriber)) return
    if (subscribers.size === 0) this.#subscribers.delete(topic)
  }

  of(topic: string): Iterable<Subscriber> {
    return this.#subscribers.get(topic) ?? []
  }

  get size(): number {
    return this.#subscribers.size
  }
}
