/** The app's hooks that have begun and are not done, so that a shutdown can wait for them, though not for ever. */
export class RunningHooks {
  #running = 0
  #waiting: { readonly dueAt: number; readonly resolve: () => void }[] = []

  /** Runs a hook, which must not reject. */
  async run(hook: () => Promise<void>): Promise<void> {
    this.#running++
    await hook()
    this.#running--
    if (this.#running === 0) this.#release(Number.POSITIVE_INFINITY)
  }

  /** Resolves when none runs any more, or in the first round after that time. */
  whenDone(dueAt: number): Promise<void> {
    if (this.#running === 0) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ dueAt, resolve }))
  }

  tick(now: number): void {
    if (this.#waiting.length > 0) this.#release(now)
  }

  #release(until: number): void {
    const due = this.#waiting.filter(({ dueAt }) => dueAt <= until)
    this.#waiting = this.#waiting.filter(({ dueAt }) => dueAt > until)
    for (const { resolve } of due) resolve()
  }
}
