import { channels, type MessageEvent } from './events.js'
import { Histogram, type HistogramSnapshot } from './histogram.js'
import { Tally } from './tally.js'

export interface MessageTotals {
  /** By outcome: `ok`, the code of a refusal, or `HTTP_<status>` for one of the app's own. */
  readonly outcomes: Readonly<Record<string, number>>
  /** How long handlers took. */
  readonly handling: HistogramSnapshot
}

/** What became of the messages of one type. */
export class MessageMetrics {
  readonly #source: object
  readonly #route: string
  readonly #type: string
  readonly #refusals = new Tally()
  #ok = 0
  readonly #handling = new Histogram()

  constructor(source: object, route: string, type: string) {
    this.#source = source
    this.#route = route
    this.#type = type
  }

  /** @param handlerMs undefined where the handler was not called */
  ended(outcome: string, handlerMs?: number): void {
    if (outcome === 'ok') this.#ok++
    else this.#refusals.add(outcome)
    if (handlerMs !== undefined) this.#handling.observe(handlerMs)
    if (!channels.message.hasSubscribers) return
    const event: MessageEvent = { source: this.#source, route: this.#route, type: this.#type, outcome, handlerMs }
    channels.message.publish(event)
  }

  snapshot(): MessageTotals {
    const ok = this.#ok > 0 ? { ok: this.#ok } : {}
    return { outcomes: { ...ok, ...this.#refusals.snapshot() }, handling: this.#handling.snapshot() }
  }
}
