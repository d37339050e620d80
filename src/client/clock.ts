/** Where the client takes its time from, so that tests can stop and move it. */
export interface ClientClock {
  /** Milliseconds on a clock that is never set. */
  now(): number
  /** Runs the task once after so many milliseconds; returns what prevents it. */
  after(delayMs: number, task: () => void): () => void
}

/** About what a timer can count to; a longer delay would fire at once. */
const LONGEST_MS = 2e9

export const systemClock: ClientClock = {
  now: () => performance.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, Math.min(delayMs, LONGEST_MS))
    return () => clearTimeout(timer)
  }
}

/** Runs the task once after so many milliseconds, and no more what it was told before; without a task, nothing. */
export type Timer = (delayMs: number, task?: () => void) => void

export function oneTimer(clock: ClientClock): Timer {
  let stop = () => {}
  return (delayMs, task) => {
    stop()
    if (task) stop = clock.after(delayMs, task)
  }
}
