/** What errors are called on the page. */
import { WsTicketError } from 'fastify-ws-ticket/client'
import { ApiError } from './session.js'

const WORDS: Readonly<Record<string, string>> = {
  DISCONNECTED: 'The connection was lost.',
  CLIENT_CLOSED: 'You are logged out.',
  NO_USER: 'Your session has ended. Log in again.',
  QUEUE_FULL: 'Too much is waiting for the connection already.',
  TICKET_FAILED: 'The server can not be reached.',
  TIMEOUT: 'The server did not answer.'
}

/** Close codes after which the client stops. */
const FINAL: Readonly<Record<number, string>> = {
  1009: 'A message was too big. Log in again.',
  4400: 'The server refused too many messages. Log in again.',
  4403: 'You were logged out.',
  4409: 'The connection was ended for security. Log in again.'
}

/** What to tell the user; a loss after which a message may have arrived is told as such. */
export function wordsFor(error: unknown): string {
  if (error instanceof WsTicketError) {
    if (error.isFinal && error.closeCode !== undefined) return FINAL[error.closeCode] ?? 'The server and this page do not fit. Reload it.'
    const words = WORDS[error.code] ?? error.message
    return error.mayHaveExecuted ? `${words} It may have arrived all the same.` : words
  }
  return error instanceof ApiError ? error.message : 'The server can not be reached.'
}

/** Milliseconds that the server asked to wait; 0 where it did not. */
export function retryAfterOf(error: unknown): number {
  return error instanceof WsTicketError || error instanceof ApiError ? (error.retryAfter ?? 0) : 0
}

/** Did a schema refuse what was sent? */
export function isInvalid(error: unknown): boolean {
  return ['FST_ERR_VALIDATION', 'FST_WS_TICKET_INVALID_PAYLOAD'].includes(String(Reflect.get(Object(error), 'code')))
}
