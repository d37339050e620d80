import { fail } from '../errors.js'
import { CloseCode } from '../protocol.js'

const MAX_REASON_BYTES = 123
const SENDABLE = new Set([1000, 1001, 1008, 1011, 1012, 1013])

/**
 * May an application send this close code (RFC 6455, section 7.4)?
 * @throws FST_WS_TICKET_INVALID_CLOSE_CODE
 */
export function checkCloseCode(code: number): number {
  const isOwn = Number.isInteger(code) && code >= 3000 && code <= 4999
  if (!isOwn && !SENDABLE.has(code)) throw fail('INVALID_CLOSE_CODE', [String(code)])
  return code
}

/** A reason that fits into a close frame: at most 123 bytes, not cut inside of a character. */
export function fitReason(reason: string): string {
  const bytes = Buffer.from(reason)
  if (bytes.length <= MAX_REASON_BYTES) return reason
  // a character cut in two decodes to U+FFFD at the end
  return bytes
    .subarray(0, MAX_REASON_BYTES)
    .toString()
    .replace(/\uFFFD+$/, '')
}

/** What an honest client of good health does not get. */
const ABUSE: ReadonlySet<number> = new Set([
  CloseCode.unsupportedData,
  CloseCode.messageTooBig,
  CloseCode.slowConsumer,
  CloseCode.badMessages,
  CloseCode.ticketReplayed,
  CloseCode.limitsExceeded
])

/** Is this how a connection is closed for what its client did? */
export function isAbuse(code: number): boolean {
  return ABUSE.has(code)
}

/** What `ws` says of a frame that it refuses, where that is not a mere fault of the protocol (1002). */
const REFUSED_FRAMES: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: 1007,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: CloseCode.messageTooBig,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: CloseCode.messageTooBig
}

/**
 * The code with which `ws` has closed by itself for a frame; undefined where an error is of another kind.
 *
 * @see https://github.com/websockets/ws/blob/master/doc/ws.md#ws-error-codes
 */
export function codeOfRefusedFrame(error: Error): number | undefined {
  const code: unknown = Reflect.get(error, 'code')
  if (typeof code !== 'string') return undefined
  // of zlib, for what can not be inflated
  if (code.startsWith('Z_')) return 1007
  if (!code.startsWith('WS_ERR_')) return undefined
  return REFUSED_FRAMES[code] ?? 1002
}
