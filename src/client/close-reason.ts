import { clientError, type WsTicketError } from './error.js'

/** Codes after which coming again would end in the same way; 1002 and 1007 are of RFC 6455, the others in `CloseCode`. */
const STOP = [1000, 1002, 1003, 1007, 1009, 4400, 4403, 4409]

/** Codes of failures that come after the welcome: `internalError`, `slowConsumer` and `limitsExceeded`. */
const AFTER_WELCOME = [1011, 1013, 4429]

/** Why a connection ended. After `limitsExceeded` that is waited for which the server last asked for. */
export function closeReason(closeCode: number, retryAfter: number | undefined): WsTicketError {
  return clientError('DISCONNECTED', {
    closeCode,
    retryAfter: closeCode === 4429 ? retryAfter : undefined,
    isFinal: STOP.includes(closeCode)
  })
}

/** Did the connection go well, so that the next attempt may be soon? */
export function wentWell(closeCode: number): boolean {
  return !AFTER_WELCOME.includes(closeCode)
}
