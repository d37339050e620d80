import { codeOf, entryOf, isErrorCode, isTellable } from '../errors.js'
import type { ErrorPayload, ValidationIssue } from '../protocol.js'

/**
 * What a client may know of an error: all of one that {@link isTellable}; of any other that the server failed (500). Never throws,
 * and what it answers can always be sent as JSON.
 */
export function describeError(error: unknown): ErrorPayload {
  try {
    return tellable(error) ?? entryOf('HANDLER_FAILED')
  } catch {
    // what is thrown may be a proxy, and reading its properties may throw
    return entryOf('HANDLER_FAILED')
  }
}

function tellable(error: unknown): ErrorPayload | undefined {
  if (!(error instanceof Error)) return undefined
  const { statusCode, code, message, retryAfterMs, errors }: Record<string, unknown> = Object(error)
  if (!isTellable(statusCode, code) || typeof message !== 'string') return undefined

  const payload: ErrorPayload = { code: typeof code === 'string' ? code : codeOf('HANDLER_FAILED'), statusCode, message }
  if (typeof retryAfterMs === 'number' && Number.isFinite(retryAfterMs)) payload.retryAfter = Math.ceil(retryAfterMs)
  if (isErrorCode(code) && Array.isArray(errors)) payload.errors = Array.from(errors, textsOf)
  return payload
}

function textsOf({ path, message }: Record<keyof ValidationIssue, unknown>): ValidationIssue {
  return { path: String(path), message: String(message) }
}
