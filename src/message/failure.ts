import { CODE_PREFIX, codeOf, fail } from '../errors.js'
import type { ErrorPayload, ValidationIssue } from '../protocol.js'

/** What an error may have that is told to a client. */
interface TellableError extends Error {
  statusCode: number
  code?: unknown
  retryAfterMs?: unknown
  errors?: ValidationIssue[]
}

/**
 * What a client may know of an error: all of one that says it is the client's (`statusCode` 400 to 499) and of this
 * package's own, nothing of any other.
 */
export function describeError(error: unknown): ErrorPayload {
  const told: TellableError = isTellable(error) ? error : fail('HANDLER_FAILED')
  const { statusCode, message, retryAfterMs, errors } = told
  const payload: ErrorPayload = { code: codeOfError(told), statusCode, message }
  if (typeof retryAfterMs === 'number') payload.retryAfter = Math.ceil(retryAfterMs)
  if (isOwn(told) && errors) payload.errors = errors
  return payload
}

/** Is it worth a line in the log? What a client caused is not. */
export function isServerFault(error: unknown): boolean {
  return !isTellable(error) || error.statusCode >= 500
}

function isTellable(error: unknown): error is TellableError {
  if (!(error instanceof Error) || !('statusCode' in error) || typeof error.statusCode !== 'number') return false
  if (error.statusCode >= 400 && error.statusCode <= 499) return true
  return isOwn(error) && error.statusCode === 503
}

function isOwn(error: Error): boolean {
  return 'code' in error && typeof error.code === 'string' && error.code.startsWith(CODE_PREFIX)
}

function codeOfError(error: TellableError): string {
  return typeof error.code === 'string' ? error.code : codeOf('HANDLER_FAILED')
}
