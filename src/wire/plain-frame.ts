import { isUtf8 } from 'node:buffer'
import { FIN_AND_TEXT, LENGTH, LENGTH_OF_16_BITS, LENGTH_OF_64_BITS, MASK_BYTES, MASKED } from './frame-header.js'

const FIRST_BEYOND_ASCII = 0x80

/**
 * Where the frame ends that begins at `at`, if it is a plain one: a text in one masked frame without extensions (RFC 6455, section
 * 5.2), of at most `maxPayload` bytes, and here to its end. -1 for every other.
 */
export function endOfPlainFrame(bytes: Buffer, at: number, maxPayload: number): number {
  if (bytes.length < at + 2 + MASK_BYTES || bytes[at] !== FIN_AND_TEXT) return -1
  const second = bytes.readUInt8(at + 1)
  const short = second & LENGTH
  if (second < MASKED || short === LENGTH_OF_64_BITS) return -1
  const length = short === LENGTH_OF_16_BITS ? bytes.readUInt16BE(at + 2) : short
  const end = at + headerBytes(short) + length
  return length > maxPayload || end > bytes.length ? -1 : end
}

/** The text of a plain frame; undefined where it is not valid UTF-8, and then its bytes are as they were. Otherwise they are unmasked. */
export function textOfPlainFrame(bytes: Buffer, at: number, end: number): string | undefined {
  const start = at + headerBytes(bytes.readUInt8(at + 1) & LENGTH)
  if (unmask(bytes, start, end) < FIRST_BEYOND_ASCII) return bytes.toString('latin1', start, end)
  if (isUtf8(bytes.subarray(start, end))) return bytes.toString('utf8', start, end)
  unmask(bytes, start, end)
  return undefined
}

/** Bytes before the payload, with the mask. */
function headerBytes(short: number): number {
  return (short === LENGTH_OF_16_BITS ? 4 : 2) + MASK_BYTES
}

/** Masks or unmasks a payload in its place with the mask before it (RFC 6455, section 5.3). Returns all its bytes, one OR the other. */
function unmask(bytes: Buffer, start: number, end: number): number {
  const mask0 = Number(bytes[start - 4])
  const mask1 = Number(bytes[start - 3])
  const mask2 = Number(bytes[start - 2])
  const mask3 = Number(bytes[start - 1])
  let all = 0
  let at = start
  // four at a time, as it is done for every byte that comes
  for (; at + MASK_BYTES <= end; at += MASK_BYTES) {
    all |= bytes[at] = Number(bytes[at]) ^ mask0
    all |= bytes[at + 1] = Number(bytes[at + 1]) ^ mask1
    all |= bytes[at + 2] = Number(bytes[at + 2]) ^ mask2
    all |= bytes[at + 3] = Number(bytes[at + 3]) ^ mask3
  }
  for (let of = start - MASK_BYTES; at < end; at++, of++) all |= bytes[at] = Number(bytes[at]) ^ Number(bytes[of])
  return all
}
