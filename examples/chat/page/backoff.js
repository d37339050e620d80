const FIRST_MS = 500
const MAX_MS = 30_000

/** How long to wait before trying again: longer each time, and by chance, so that not all clients come back at once. */
export class Backoff {
  #tries = 0

  next() {
    const ceiling = Math.min(MAX_MS, FIRST_MS * 2 ** this.#tries)
    this.#tries++
    return ceiling / 2 + (Math.random() * ceiling) / 2
  }

  reset() {
    this.#tries = 0
  }
}
