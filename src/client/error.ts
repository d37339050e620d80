import type { ValidationIssue } from '../protocol.js'
import { type Fields, textOf, waitOf } from './fields.js'

/**
 * The client's own codes; all others are the server's. Where a message waits for a connection, or has lost one, `cause` is what the last
 * attempt failed with, or what the connection ended with, or how far the first attempt has come; the message says it too.
 *
 * - `ABORTED`: the signal of a message was aborted
 * - `CLIENT_CLOSED`: the client is closed, by `close()` or because of its `cause`, which then is final
 * - `DISCONNECTED`: the connection was lost, or could not be opened
 * - `NO_USER`: `token` answered that there is no user
 * - `QUEUE_FULL`: more messages wait for a connection, or more events to be read, than may
 * - `TICKET_FAILED`: `token` failed or answered no JWT, a ticket could not be asked for, or it was refused without a code
 * - `TIMEOUT`: the answer to a message, or an attempt to connect, took too long
 */
export type ClientErrorCode = 'ABORTED' | 'CLIENT_CLOSED' | 'DISCONNECTED' | 'NO_USER' | 'QUEUE_FULL' | 'TICKET_FAILED' | 'TIMEOUT'

/** What a {@link WsTicketError} says besides code and message. */
export interface ErrorDetails {
  readonly statusCode?: number
  readonly retryAfter?: number | undefined
  readonly errors?: ValidationIssue[] | undefined
  readonly closeCode?: number | undefined
  readonly mayHaveExecuted?: boolean
  readonly isFinal?: boolean
  readonly cause?: unknown
}

/** What went wrong with a message or with the connection. Compare `code`. */
export class WsTicketError extends Error {
  declare readonly name: 'WsTicketError'
  /** The server's `FST_WS_TICKET_…`, the application's own, or one of {@link ClientErrorCode}. */
  declare readonly code: ClientErrorCode | (string & {})
  /** The HTTP status that the server gave; undefined where it said nothing. */
  declare readonly statusCode: number | undefined
  /** Milliseconds to wait before the next try, where the server said it; a day at most. */
  declare readonly retryAfter: number | undefined
  /** What the schema of a message objected to. */
  declare readonly errors: ValidationIssue[] | undefined
  /** The code with which the connection was closed, where that is the reason. */
  declare readonly closeCode: number | undefined
  /** May the server have handled the message all the same? Otherwise it is safe to send it again. */
  declare readonly mayHaveExecuted: boolean
  /** Has the client stopped because of it? Otherwise it tries again. */
  declare readonly isFinal: boolean

  constructor(code: string, message: string, details?: ErrorDetails) {
    super(message)
    Object.assign(this, { name: 'WsTicketError', code, mayHaveExecuted: false, isFinal: false }, details)
  }
}

/** One whose message also says what its cause does; what others throw may tell secrets, and stays in `cause` alone. */
export function clientError(code: ClientErrorCode, message: string, details?: ErrorDetails): WsTicketError {
  const cause = details?.cause
  return new WsTicketError(code, cause instanceof WsTicketError ? `${message} ${cause.message}` : message, details)
}

/** What else the task fails with becomes the cause of such an error. */
export async function naming<T>(code: ClientErrorCode, message: string, task: () => T | Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (cause) {
    throw cause instanceof WsTicketError ? cause : clientError(code, message, { cause })
  }
}

/** The error that a `$error` frame tells. A server that failed may have done its work before. */
export function toldError(payload: unknown): WsTicketError {
  const { code, message, statusCode, retryAfter, errors }: Fields = Object(payload)
  const status = typeof statusCode === 'number' ? statusCode : 0
  return new WsTicketError(textOf(code), textOf(message), {
    statusCode: status,
    retryAfter: waitOf(retryAfter),
    errors: Array.isArray(errors) ? errors : undefined,
    mayHaveExecuted: status >= 500
  })
}
