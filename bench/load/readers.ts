import type { Answer } from '../program.js'
import type { Client } from './client.js'
import type { Wire } from './wires.js'

/** How many events are read before that is told. */
const EVENTS_A_NEWS = 16

/** The readers of a fan-out: they count the events that they get. */
export class Readers {
  readonly #clients: readonly Client[]
  #frames = 0
  #told = 0
  #awaited = Number.POSITIVE_INFINITY
  #resolve = () => {}

  /** @param read told that all readers together have read so many events more */
  constructor(wire: Wire, clients: readonly Client[], read: (events: number) => void, failed: (error: Error) => void) {
    this.#clients = clients
    for (const client of clients) {
      client.count(wire.news.length, failed)
      client.onFrames = (frames) => {
        this.#frames += frames
        if (this.#frames >= this.#awaited) this.#resolve()
        const events = Math.floor(this.#frames / clients.length) - this.#told
        if (events < EVENTS_A_NEWS) return
        this.#told += events
        read(events)
      }
    }
  }

  /** Resolves when everybody has so many events since this was asked last. */
  async settled(events: number): Promise<Answer> {
    const frames = events * this.#clients.length
    if (this.#frames < frames) {
      this.#awaited = frames
      await new Promise<void>((resolve) => (this.#resolve = resolve))
    }
    this.#awaited = Number.POSITIVE_INFINITY
    this.#frames -= frames
    const untold = events - this.#told
    this.#told = 0
    return { untold, surplus: this.#frames }
  }
}
