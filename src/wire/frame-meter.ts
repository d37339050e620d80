import {
  CLOSE,
  FIN,
  FIRST_CONTROL_OPCODE,
  LENGTH,
  LENGTH_OF_16_BITS,
  LENGTH_OF_64_BITS,
  MASK_BYTES,
  MASKED,
  OPCODE
} from './frame-header.js'

/** What the next byte is. */
type Place = 'start' | 'length' | 'long length' | 'body'

/**
 * Follows the frames in what a client sends (RFC 6455, section 5.2), header by header and without looking into them. `ws`
 * tells of whole messages only: neither of fragments, nor of a message that was begun and is not finished.
 */
export class FrameMeter {
  #place: Place = 'start'
  #isFinal = true
  #isControl = false
  /** Bytes of a long length that are still to come, and what they say so far. */
  #lengthBytes = 0
  #length = 0
  #isMasked = false
  /** Bytes of mask and payload that are still to come. */
  #left = 0
  #isMessageOpen = false
  #messageStartedAt = 0
  #messageBytes = 0
  #frames = 0
  /** Frames that complete no message. */
  #extra = 0
  #isClose = false

  /**
   * Reads on. What breaks the protocol is for `ws` to find.
   * @returns how many of the frames that begin here complete no message: pings, pongs, closes and fragments
   */
  read(chunk: Buffer, now: number): number {
    const before = this.#extra
    for (let at = 0; at < chunk.length; ) at = this.readFrame(chunk, at, now)
    return this.#extra - before
  }

  /** Reads on to the end of the present frame, or of the bytes. Returns where it has come to. */
  readFrame(chunk: Buffer, from: number, now: number): number {
    let at = from
    while (at < chunk.length) {
      if (this.#place === 'body') at += this.#skip(chunk.length - at)
      else this.#readHeader(chunk.readUInt8(at++), now)
      if (this.#place === 'start') break
    }
    return at
  }

  /** How many frames have ended that whoever reads them tells of: whole messages, and control frames. */
  get frames(): number {
    return this.#frames
  }

  /** Is what comes next the start of a frame, and of a message unless it is a control frame? */
  get isBetweenMessages(): boolean {
    return this.isBetweenFrames && !this.#isMessageOpen
  }

  /** Is what comes next the start of a frame? */
  get isBetweenFrames(): boolean {
    return this.#place === 'start'
  }

  /** Does the present frame, or the last one that has ended, ask to close? */
  get isClose(): boolean {
    return this.#isClose
  }

  /** Bytes of the present frame that are still to come, where that is known. */
  get frameBytesLeft(): number {
    return this.#place === 'body' ? this.#left : 0
  }

  /** How large the present message is by what its frames have declared so far, or the last one that was finished. */
  get messageBytes(): number {
    return this.#messageBytes
  }

  /** Was a message begun before that time, and is not finished? */
  isUnfinishedSince(time: number): boolean {
    return this.#isMessageOpen && this.#messageStartedAt <= time
  }

  /** Nothing was read for a while, and that was not the client's fault. */
  excuse(now: number): void {
    this.#messageStartedAt = now
  }

  #readHeader(byte: number, now: number): void {
    if (this.#place === 'start') this.#begin(byte, now)
    else if (this.#place === 'length') this.#readLength(byte)
    else this.#readLongLength(byte)
  }

  #begin(byte: number, now: number): void {
    this.#isFinal = (byte & FIN) !== 0
    this.#isControl = (byte & OPCODE) >= FIRST_CONTROL_OPCODE
    this.#isClose = (byte & OPCODE) === CLOSE
    if (this.#isControl || !this.#isFinal) this.#extra++
    this.#place = 'length'
    if (this.#isControl || this.#isMessageOpen) return
    this.#isMessageOpen = true
    this.#messageStartedAt = now
    this.#messageBytes = 0
  }

  #readLength(byte: number): void {
    const length = byte & LENGTH
    this.#isMasked = (byte & MASKED) !== 0
    if (length < LENGTH_OF_16_BITS) return this.#expect(length)
    this.#lengthBytes = length === LENGTH_OF_64_BITS ? 8 : 2
    this.#length = 0
    this.#place = 'long length'
  }

  #readLongLength(byte: number): void {
    this.#length = this.#length * 256 + byte
    this.#lengthBytes--
    if (this.#lengthBytes === 0) this.#expect(this.#length)
  }

  #expect(length: number): void {
    if (!this.#isControl) this.#messageBytes += length
    this.#left = length + (this.#isMasked ? MASK_BYTES : 0)
    this.#place = 'body'
    if (this.#left === 0) this.#finish()
  }

  #skip(available: number): number {
    const skipped = Math.min(this.#left, available)
    this.#left -= skipped
    if (this.#left === 0) this.#finish()
    return skipped
  }

  #finish(): void {
    this.#place = 'start'
    if (this.#isControl || this.#isFinal) this.#frames++
    if (this.#isFinal && !this.#isControl) this.#isMessageOpen = false
  }
}
