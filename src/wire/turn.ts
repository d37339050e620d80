/** What holds something back until a turn ends. */
export interface Held {
  release(): void
}

/** All that is held back in this process until the same moment: one queue for them, and no closure for each. */
export class Turn {
  readonly #held: Held[] = []
  readonly #schedule: (end: () => void) => void

  constructor(schedule: (end: () => void) => void) {
    this.#schedule = schedule
  }

  add(held: Held): void {
    if (this.#held.length === 0) this.#schedule(this.#end)
    this.#held.push(held)
  }

  readonly #end = (): void => {
    let count = 0
    try {
      for (const held of this.#held) {
        count++
        held.release()
      }
    } finally {
      // should one throw, the others are let out all the same
      this.#held.splice(0, count)
      if (this.#held.length > 0) this.#schedule(this.#end)
    }
  }
}

/** Ends when what one socket has read is handled, and every promise that is settled by then has been heard. */
export const afterRead = new Turn((end) => process.nextTick(end))

/** Ends when what all sockets have read by now is handled. */
export const afterLoop = new Turn((end) => setImmediate(end))
