import type { ClientClock } from './clock.js'

export interface HeartbeatSettings {
  readonly clock: ClientClock
  readonly heartbeat: number
  readonly heartbeatTimeout: number
}

export interface HeartbeatEvents {
  /** Ask the server for a frame. */
  ping(): void
  /** There was none. */
  dead(): void
}

/** Notices that nothing comes any more: a page sees none of the server's pings, and a broken line may tell nothing for minutes. */
export class Heartbeat {
  readonly #settings: HeartbeatSettings
  readonly #events: HeartbeatEvents
  #seenAt = 0
  #isAwaiting = false
  #stopTimer: (() => void) | undefined

  constructor(settings: HeartbeatSettings, events: HeartbeatEvents) {
    this.#settings = settings
    this.#events = events
  }

  /** A frame has come. */
  seen(): void {
    this.#seenAt = this.#settings.clock.now()
    this.#isAwaiting = false
  }

  start(): void {
    this.seen()
    this.#look()
  }

  /** Asks now, since something may have happened. */
  check(): void {
    if (this.#isAwaiting) return
    this.#isAwaiting = true
    this.#wait(this.#settings.heartbeatTimeout, () => (this.#isAwaiting ? this.#events.dead() : this.#look()))
    this.#events.ping()
  }

  stop(): void {
    this.#stopTimer?.()
  }

  #look(): void {
    const leftMs = this.#seenAt + this.#settings.heartbeat - this.#settings.clock.now()
    if (leftMs <= 0) this.check()
    else this.#wait(leftMs, () => this.#look())
  }

  #wait(ms: number, task: () => void): void {
    this.stop()
    this.#stopTimer = this.#settings.clock.after(ms, task)
  }
}
