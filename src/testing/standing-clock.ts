import type { Clock } from '../clock.js'

interface Interval {
  readonly everyMs: number
  readonly task: () => void
  dueAt: number
}

/** A clock that stands still until it is moved. */
export class StandingClock implements Clock {
  #now = 1_000_000
  #wall: number
  readonly #intervals = new Set<Interval>()

  /** @param wall the time at which it stands, in milliseconds since 1970 */
  constructor(wall: number) {
    this.#wall = wall
  }

  now(): number {
    return this.#now
  }

  wall(): number {
    return this.#wall
  }

  every(everyMs: number, task: () => void): () => void {
    const interval = { everyMs, task, dueAt: this.#now + everyMs }
    this.#intervals.add(interval)
    return () => this.#intervals.delete(interval)
  }

  /** Tasks that are repeated; none may be left when everything is closed. */
  get timers(): number {
    return this.#intervals.size
  }

  /** Moves on and runs what falls due, in order, all in this turn of the event loop: nobody can answer meanwhile. */
  tick(ms: number): void {
    const end = this.#now + ms
    while (this.step(end));
    this.moveTo(end)
  }

  /** Sets the wall clock, as an administrator or a time server does. `now()` and what is due do not follow. */
  setWall(ms: number): void {
    this.#wall = ms
  }

  /** Moves to the next instant at which something is due, and runs it; false where nothing is due until the end. */
  protected step(end: number): boolean {
    const instant = this.#nextInstant()
    if (instant > end) return false
    this.moveTo(instant)
    for (const interval of this.#intervals) if (interval.dueAt === instant) run(interval)
    return true
  }

  protected moveTo(time: number): void {
    this.#wall += time - this.#now
    this.#now = time
  }

  #nextInstant(): number {
    return [...this.#intervals].reduce((least, { dueAt }) => Math.min(least, dueAt), Number.POSITIVE_INFINITY)
  }
}

function run(interval: Interval): void {
  interval.dueAt += interval.everyMs
  interval.task()
}
