import { frameBytes } from './text-frame.js'

/** A text frame that many connections get. It is built once for all of them. */
export class SharedFrame {
  readonly payload: Buffer
  readonly bytes: Buffer
  /** The batch of this frame alone, with which others begin. */
  readonly batch: Batch

  constructor(payload: Buffer) {
    this.payload = payload
    this.bytes = frameBytes(payload)
    this.batch = new Batch(this)
  }
}

/** Frames that leave together. Connections that get the same in the same order have the same batch, so that it is put together once. */
export class Batch {
  readonly length: number
  readonly #last: SharedFrame
  readonly #before: Batch | undefined
  #bytes: Buffer | undefined
  /** The one that was made of this last: it is most likely asked for again. */
  #next: Batch | undefined

  constructor(last: SharedFrame, before?: Batch) {
    this.#last = last
    this.#before = before
    this.length = last.bytes.length + (before?.length ?? 0)
  }

  followedBy(frame: SharedFrame): Batch {
    if (this.#next && this.#next.#last === frame) return this.#next
    this.#next = new Batch(frame, this)
    return this.#next
  }

  /** All frames, in their order. */
  get bytes(): Buffer {
    if (!this.#before) return this.#last.bytes
    this.#bytes ??= Buffer.concat(this.#frames(), this.length)
    return this.#bytes
  }

  #frames(): Buffer[] {
    const frames: Buffer[] = []
    for (let batch: Batch | undefined = this; batch; batch = batch.#before) frames.push(batch.#last.bytes)
    return frames.reverse()
  }
}
