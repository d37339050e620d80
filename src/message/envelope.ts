import { fail } from '../errors.js'
import type { ClientFrame } from '../protocol.js'

const isStray = (name: string) => name !== 'type' && name !== 'id' && name !== 'payload'

/**
 * Checks the outer form of a frame.
 * @throws FST_WS_TICKET_INVALID_ENVELOPE
 */
export function checkEnvelope(value: unknown): ClientFrame {
  if (!isRecord(value)) throw fail('INVALID_ENVELOPE', ['it is not an object'])
  const { type, id, payload } = value
  if (typeof type !== 'string') throw fail('INVALID_ENVELOPE', ['type is not a text'])
  if (Object.keys(value).some(isStray)) throw fail('INVALID_ENVELOPE', ['it has other properties'])
  if (id === undefined) return { type, payload }
  if (!isFrameId(id)) throw fail('INVALID_ENVELOPE', ['id is not a non-negative integer'])
  return { type, id, payload }
}

/** The id of a frame that may be wrong elsewhere, so that even then the answer finds its question. */
export function salvageId(value: unknown): number | undefined {
  if (!isRecord(value)) return undefined
  return isFrameId(value.id) ? value.id : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isFrameId(id: unknown): id is number {
  return typeof id === 'number' && Number.isSafeInteger(id) && id >= 0
}
