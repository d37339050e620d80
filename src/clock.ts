/** Where all parts take the time from, so that tests can stop and move it. */
export interface Clock {
  /** Milliseconds on a clock that is never set: for limits, deadlines and expiry. */
  now(): number
  /** Milliseconds since 1970: for what is compared with a JWT or told to a client. */
  wall(): number
  /** Runs the task every so many milliseconds without keeping the process alive; returns what stops it. */
  every(intervalMs: number, task: () => void): () => void
}

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  every(intervalMs, task) {
    const timer = setInterval(task, intervalMs)
    timer.unref()
    return () => clearInterval(timer)
  }
}
