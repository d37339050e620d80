import { codeOf, entryOf, isErrorCode } from '../errors.js'
import type { ErrorPayload, ValidationIssue } from '../protocol.js'

/**
 * What a client may know of an error: all of one that says it is the client's (`statusCode` 400 to 499) and of this package's own
 * that say to try later; of any other that the server failed (500). Never throws, and what it answers can always be sent as JSON.
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
  if (typeof statusCode !== 'number' || typeof message !== 'string') return undefined
  const isOwn = isErrorCode(code)
  const isClients = statusCode >= 400 && statusCode <= 499
  if (!isClients && !(isOwn && statusCode === 503)) return undefined

  const payload: ErrorPayload = { code: typeof code === 'string' ? code : codeOf('HANDLER_FAILED'), statusCode, message }
  if (typeof retryAfterMs === 'number' && Number.isFinite(retryAfterMs)) payload.retryAfter = Math.ceil(retryAfterMs)
  if (isOwn && Array.isArray(errors)) payload.errors = Array.from(errors, textsOf)
  return payload
}

function textsOf({ path, message }: Record<keyof ValidationIssue, unknown>): ValidationIssue {
  return { path: String(path), message: String(message) }
}
