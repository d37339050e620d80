const FIRST_SIZE = 256
const NOTHING = Buffer.alloc(0)

/** Small pieces of a frame, put together as they come: to keep many of them takes memory, and `ws` takes a time that grows with their square. */
export class Pieces {
  #bytes = NOTHING
  #length = 0

  get length(): number {
    return this.#length
  }

  add(piece: Buffer): void {
    const length = this.#length + piece.length
    if (length > this.#bytes.length) this.#grow(length)
    piece.copy(this.#bytes, this.#length)
    this.#length = length
  }

  /** All of them, which are forgotten. */
  take(): Buffer {
    const all = this.#bytes.subarray(0, this.#length)
    this.#bytes = NOTHING
    this.#length = 0
    return all
  }

  #grow(length: number): void {
    const bytes = Buffer.allocUnsafeSlow(Math.max(FIRST_SIZE, 2 * length))
    this.#bytes.copy(bytes, 0, 0, this.#length)
    this.#bytes = bytes
  }
}
