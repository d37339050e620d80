import { type ClientErrorCode, clientError, naming, WsTicketError } from './error.js'
import { type Fields, textOf, waitOf } from './fields.js'
import type { ClientSettings, TicketResponse, Token } from './options.js'

/** A ticket, and the subprotocols to open a WebSocket with. */
export interface Ticket {
  readonly ticket: string
  readonly protocols: string[]
}

/** Refusals that may be over later, besides those of a failing server. */
const TEMPORARY = [408, 409, 425, 429]

/** What is wrong where there is neither a ticket nor a refusal. */
const NO_TICKET = 'There was no ticket: is the server there, does `token` answer, does CORS pass, does a hook refuse it?'

/** What a header can carry; anything else would be repeated in the error of some `fetch`. */
const SENDABLE = /^[!-~]+$/

/**
 * Asks for a ticket; when the token is refused, once more with a new one. Rejects with a {@link WsTicketError}.
 *
 * @param body `{}` for a connection, `{ refresh: id }` to extend the session of one
 * @param awaits is told what would be missing if nothing came any more
 */
export function requestTicket(
  settings: ClientSettings,
  body: object,
  signal: AbortSignal,
  awaits: (missing: string) => void,
  refused = false
): Promise<Ticket> {
  return naming('TICKET_FAILED', NO_TICKET, async () => {
    awaits('`token` has not answered.')
    const token = await settings.token({ refused })
    signal.throwIfAborted()
    awaits(NO_TICKET)
    const response = await settings.fetch(settings.ticketUrl, {
      method: 'POST',
      headers: { authorization: `Bearer ${jwtOf(token)}`, 'content-type': 'application/json', ...settings.origin },
      body: JSON.stringify(body),
      signal
    })
    return !refused && response.status === 401 ? requestTicket(settings, body, signal, awaits, true) : readTicket(response)
  })
}

function jwtOf(token: Token): string {
  if (!token) throw clientError('NO_USER', '`token` answered no user.', { isFinal: true })
  const jwt = textOf(token)
  // what is no text is a fault of the program, and would be there again
  if (!SENDABLE.test(jwt)) throw clientError('TICKET_FAILED', '`token` must answer a JWT without `Bearer`, or null.', { isFinal: !jwt })
  return jwt
}

/** The ticket that was issued; throws a {@link WsTicketError} where none was. */
export async function readTicket(response: TicketResponse): Promise<Ticket> {
  if (!response.ok) throw await refusal(response, 'TICKET_FAILED')
  const issued: Ticket = Object(await response.json())
  if (!issued.ticket) throw Error('The answer is no ticket.')
  return issued
}

/** What a refusal says; the code where it says none. */
export async function refusal(response: TicketResponse, unnamed: ClientErrorCode): Promise<WsTicketError> {
  const { status, headers } = response
  // a proxy does not answer in JSON
  const { code, message }: Fields = Object(await response.json().catch(() => undefined))
  // a number of seconds or a date (RFC 9110, section 10.2.3)
  const after = String(headers.get('retry-after'))
  return new WsTicketError(textOf(code, unnamed), textOf(message, `Refused with ${status}.`), {
    statusCode: status,
    retryAfter: waitOf(Number(after) * 1000 || Date.parse(after) - Date.now()),
    isFinal: status < 500 && !TEMPORARY.includes(status)
  })
}
