import { type ClientErrorCode, clientError, WsTicketError } from './error.js'
import { type Fields, textOf, waitOf } from './fields.js'
import type { ClientSettings, TicketResponse } from './options.js'

/** A ticket, and the subprotocols to open a WebSocket with. */
export interface Ticket {
  readonly ticket: string
  readonly protocols: string[]
}

/** Refusals that may be over later, besides those of a failing server. */
const TEMPORARY = [408, 409, 425, 429]

/**
 * Asks for a ticket; when the token is refused, once more with a new one. Rejects with a {@link WsTicketError}.
 *
 * @param body `{}` for a connection, `{ refresh: id }` to extend the session of one
 */
export async function requestTicket(settings: ClientSettings, body: object, signal: AbortSignal): Promise<Ticket> {
  try {
    const first = await post(settings, body, signal, false)
    return await readTicket(first.status === 401 ? await post(settings, body, signal, true) : first)
  } catch (cause) {
    throw cause instanceof WsTicketError ? cause : clientError('TICKET_FAILED', { cause })
  }
}

async function post(settings: ClientSettings, body: object, signal: AbortSignal, refused: boolean): Promise<TicketResponse> {
  const token = await settings.token({ refused })
  signal.throwIfAborted()
  if (!token) throw clientError('NO_USER', { isFinal: true })
  return await settings.fetch(settings.ticketUrl, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...settings.origin },
    body: JSON.stringify(body),
    signal
  })
}

/** The ticket that was issued; throws a {@link WsTicketError} where none was. */
export async function readTicket(response: TicketResponse): Promise<Ticket> {
  if (!response.ok) throw await refusal(response, 'TICKET_FAILED')
  return Object.assign({ ticket: '', protocols: [] }, await response.json())
}

/** What a refusal says; the code where it says none. */
export async function refusal(response: TicketResponse, unnamed: ClientErrorCode): Promise<WsTicketError> {
  const { status, headers } = response
  // a proxy does not answer in JSON
  const { code, message }: Fields = Object(await response.json().catch(() => undefined))
  return new WsTicketError(textOf(code, unnamed), textOf(message, `Refused with ${status}.`), {
    statusCode: status,
    retryAfter: retryAfterMs(headers.get('retry-after')),
    isFinal: status < 500 && !TEMPORARY.includes(status)
  })
}

/** `Retry-After` is a number of seconds or a date (RFC 9110, section 10.2.3). */
function retryAfterMs(header: string | null): number | undefined {
  if (!header) return undefined
  return waitOf(Number(header) * 1000 || Date.parse(header) - Date.now())
}
