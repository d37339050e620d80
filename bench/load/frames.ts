const TEXT = 1
const CLOSE = 8
const PING = 9
const PONG = 10
const FIN = 0x80
const MASKED = 0x80
/** A frame may have any mask; one that changes bits, so that a server has its work with it. */
const MASK = Buffer.from([0x5a, 0xa5, 0x3c, 0xc3])

/** A masked text frame (RFC 6455, section 5.2), ready to be written. */
export function textFrame(text: string): Buffer {
  return clientFrame(TEXT, Buffer.from(text))
}

function clientFrame(opcode: number, payload: Buffer): Buffer {
  const isLong = payload.length > 125
  const header = Buffer.from(isLong ? [FIN | opcode, MASKED | 126, 0, 0] : [FIN | opcode, MASKED | payload.length])
  if (isLong) header.writeUInt16BE(payload.length, 2)
  return Buffer.concat([header, MASK, payload.map((byte, at) => byte ^ (MASK[at % 4] ?? 0))])
}

/** What a reader of frames is told. */
export interface FrameListener {
  /** Pings, which have to be answered. */
  pong(frame: Buffer): void
  /** A text frame whose length is not the one that is counted. */
  other(text: string): void
  closed(code: number): void
}

/**
 * Counts the text frames of a server that are exactly so long, without looking into them: that is cheap, so that the server
 * and not what loads it is measured. All other frames are told one by one.
 */
export class FrameCounter {
  /** Payload bytes of the frames that are counted. */
  length = -1
  readonly #listener: FrameListener
  #skip = 0
  #rest: Buffer | undefined

  constructor(listener: FrameListener) {
    this.#listener = listener
  }

  /** Reads on; answers how many frames that are counted begin in these bytes. */
  read(bytes: Buffer): number {
    const chunk = this.#rest ? Buffer.concat([this.#rest, bytes]) : bytes
    this.#rest = undefined
    let counted = 0
    let at = this.#skip
    while (at < chunk.length) {
      const size = headerSize(chunk, at)
      if (at + size > chunk.length) return this.#keep(chunk, at, counted)
      const length = payloadLength(chunk, at)
      const isCounted = length === this.length && chunk[at] === (FIN | TEXT)
      if (isCounted) counted++
      else if (at + size + length > chunk.length) return this.#keep(chunk, at, counted)
      else this.#tell((chunk[at] ?? 0) & 0x0f, chunk.subarray(at + size, at + size + length))
      at += size + length
    }
    this.#skip = at - chunk.length
    return counted
  }

  #keep(chunk: Buffer, at: number, counted: number): number {
    this.#rest = Buffer.from(chunk.subarray(at))
    this.#skip = 0
    return counted
  }

  #tell(opcode: number, payload: Buffer): void {
    if (opcode === PING) this.#listener.pong(clientFrame(PONG, payload))
    else if (opcode === CLOSE) this.#listener.closed(payload.length < 2 ? 1005 : payload.readUInt16BE(0))
    else this.#listener.other(payload.toString())
  }
}

function headerSize(chunk: Buffer, at: number): number {
  if (at + 1 >= chunk.length) return 2
  const length = chunk[at + 1]
  if (length === 127) return 10
  return length === 126 ? 4 : 2
}

function payloadLength(chunk: Buffer, at: number): number {
  const length = chunk[at + 1] ?? 0
  if (length === 127) return Number(chunk.readBigUInt64BE(at + 2))
  return length === 126 ? chunk.readUInt16BE(at + 2) : length
}
