import { FIN_AND_TEXT, LENGTH_OF_16_BITS, LENGTH_OF_64_BITS, MAX_16_BITS, MAX_SHORT_LENGTH } from './frame-header.js'

/** The header of such a frame, one byte in each character. */
export function headerOf(length: number): string {
  if (length <= MAX_SHORT_LENGTH) return String.fromCharCode(FIN_AND_TEXT, length)
  if (length <= MAX_16_BITS) return String.fromCharCode(FIN_AND_TEXT, LENGTH_OF_16_BITS, length >> 8, length & 0xff)
  return startFrame(length).toString('latin1', 0, 10)
}

/** A text as a frame of a server, whole and not masked (RFC 6455, section 5.2). */
export function frameText(text: string): Buffer {
  const length = Buffer.byteLength(text)
  const frame = startFrame(length)
  frame.write(text, frame.length - length)
  return frame
}

/** The same of a text that is encoded already. */
export function frameBytes(payload: Buffer): Buffer {
  const frame = startFrame(payload.length)
  payload.copy(frame, frame.length - payload.length)
  return frame
}

/** A frame whose payload is still to be written, at its end. */
function startFrame(length: number): Buffer {
  if (length <= MAX_SHORT_LENGTH) {
    const frame = Buffer.allocUnsafe(length + 2)
    frame[1] = length
    return withOpcode(frame)
  }
  if (length <= MAX_16_BITS) {
    const frame = Buffer.allocUnsafe(length + 4)
    frame[1] = LENGTH_OF_16_BITS
    frame.writeUInt16BE(length, 2)
    return withOpcode(frame)
  }
  const frame = Buffer.allocUnsafe(length + 10)
  frame[1] = LENGTH_OF_64_BITS
  frame.writeBigUInt64BE(BigInt(length), 2)
  return withOpcode(frame)
}

function withOpcode(frame: Buffer): Buffer {
  frame[0] = FIN_AND_TEXT
  return frame
}
