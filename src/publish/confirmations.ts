import type { Clock } from '../clock.js'

/** How often is looked who has waited long enough. */
const ROUND_MS = 25

class Waiting {
  readonly dueAt: number
  resolve: (() => void) | undefined
  readonly promise = new Promise<void>((resolve) => {
    this.resolve = resolve
  })

  constructor(dueAt: number) {
    this.dueAt = dueAt
  }
}

/** Waiting for something to be confirmed, but not for ever. */
export class Confirmations {
  readonly #clock: Clock
  readonly #timeoutMs: number
  /** In the order in which they are due. */
  readonly #waiting = new Map<string, Waiting>()
  #stopRounds: (() => void) | undefined

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /** Resolves when this key is confirmed, or when it has taken too long. */
  wait(key: string): Promise<void> {
    const waiting = this.#waiting.get(key) ?? this.#add(key)
    return waiting.promise
  }

  confirm(key: string): void {
    this.#waiting.get(key)?.resolve?.()
    this.#waiting.delete(key)
    if (this.#waiting.size > 0) return
    this.#stopRounds?.()
    this.#stopRounds = undefined
  }

  /** Lets nobody wait any longer. */
  close(): void {
    for (const key of this.#waiting.keys()) this.confirm(key)
  }

  #add(key: string): Waiting {
    const waiting = new Waiting(this.#clock.now() + this.#timeoutMs)
    this.#waiting.set(key, waiting)
    this.#stopRounds ??= this.#clock.every(ROUND_MS, () => this.#round(this.#clock.now()))
    return waiting
  }

  #round(now: number): void {
    for (const [key, { dueAt }] of this.#waiting) {
      if (dueAt > now) return
      this.confirm(key)
    }
  }
}
