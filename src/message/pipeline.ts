import { isPromiseLike } from '../promise-like.js'

/** A message on its way through its handler. */
export interface Runnable {
  /** Calls the handler, at this time; may throw, may answer with a promise. */
  run(now: number): unknown
}

/** What becomes of a call. Each call that begins has exactly one outcome. None of these may throw. */
export interface CallOutcomes<Call> {
  /** May a call that has waited still begin? When not, it has no other outcome. */
  mayBegin(call: Call, now: number): boolean
  succeeded(call: Call, result: unknown): void
  failed(call: Call, error: unknown): void
  timedOut(call: Call): void
}

interface PipelineSettings {
  readonly inFlight: number
  readonly maxQueued: number
  readonly handlerTimeoutMs: number
}

interface Running<Call> {
  readonly call: Call
  readonly dueAt: number
}

/**
 * The messages of one connection that are being handled: at most `inFlight` at a time, at most `maxQueued` waiting,
 * started in the order in which they came.
 */
export class Pipeline<Call extends Runnable> {
  readonly #settings: PipelineSettings
  readonly #outcomes: CallOutcomes<Call>
  readonly #now: () => number
  readonly #running = new Set<Running<Call>>()
  #waiting: Call[] = []

  constructor(settings: PipelineSettings, outcomes: CallOutcomes<Call>, now: () => number) {
    this.#settings = settings
    this.#outcomes = outcomes
    this.#now = now
  }

  get isIdle(): boolean {
    return this.#running.size === 0
  }

  /** Takes a call in, at this time; false when there is no room. */
  accept(call: Call, now: number): boolean {
    if (this.#running.size < this.#settings.inFlight) {
      this.#start(call, now)
      return true
    }
    if (this.#waiting.length >= this.#settings.maxQueued) return false
    this.#waiting.push(call)
    return true
  }

  /** Gives up on handlers that have run too long; what they answer later is dropped. */
  expire(now: number): void {
    for (const running of this.#running) {
      if (now < running.dueAt) continue
      this.#running.delete(running)
      this.#outcomes.timedOut(running.call)
    }
    this.#startWaiting()
  }

  /** Forgets what waits; what runs goes on. */
  clear(): void {
    this.#waiting = []
  }

  #start(call: Call, now: number): void {
    let result: unknown
    try {
      result = call.run(now)
    } catch (error) {
      this.#outcomes.failed(call, error)
      return
    }
    if (isPromiseLike(result)) this.#await(call, result, now)
    else this.#outcomes.succeeded(call, result)
  }

  #await(call: Call, result: PromiseLike<unknown>, now: number): void {
    const running = { call, dueAt: now + this.#settings.handlerTimeoutMs }
    this.#running.add(running)
    // what claims to be a promise may throw where a promise rejects; what is answered too late is dropped
    Promise.resolve(result).then(
      (value) => {
        if (!this.#running.delete(running)) return
        this.#outcomes.succeeded(call, value)
        this.#startWaiting()
      },
      (error) => {
        if (!this.#running.delete(running)) return
        this.#outcomes.failed(call, error)
        this.#startWaiting()
      }
    )
  }

  #startWaiting(): void {
    while (this.#running.size < this.#settings.inFlight) {
      const next = this.#waiting.shift()
      if (!next) return
      const now = this.#now()
      if (this.#outcomes.mayBegin(next, now)) this.#start(next, now)
    }
  }
}
