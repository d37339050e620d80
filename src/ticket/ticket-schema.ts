import Type, { type TProperties } from 'typebox'
import { codeOf, type ErrorName } from '../errors.js'

/** The body of a request for a ticket. */
export const ticketBody = Type.Object(
  {
    refresh: Type.Optional(
      Type.String({ minLength: 1, maxLength: 64, description: 'The id of an open connection whose session the ticket is to extend' })
    )
  },
  { additionalProperties: false, description: 'May be left out: that is {}. The content type may not.' }
)

const retryAfter = { 'Retry-After': Type.Integer({ description: 'Seconds to wait before the next try' }) }

/** A refusal; the app's own hooks and `authorize` may add codes of theirs. */
function refusal(description: string, names: readonly ErrorName[], headers?: TProperties) {
  const codes = names.map((name) => `\`${codeOf(name)}\``).join(', ')
  return Type.Object(
    {
      statusCode: Type.Optional(Type.Integer()),
      code: Type.Optional(Type.String()),
      error: Type.Optional(Type.String()),
      message: Type.Optional(Type.String())
    },
    { additionalProperties: true, description: codes === '' ? description : `${description}: ${codes}`, ...(headers && { headers }) }
  )
}

/** The schema of the ticket route, for @fastify/swagger; it takes `headers` for those of the response. */
export const ticketSchema = {
  summary: 'Issues a ticket for one WebSocket connection',
  description:
    'Open the WebSocket with the answered protocols; they are good once, for seconds, for the same user, path and Origin. Send the request as application/json, with the Origin of the page.',
  body: ticketBody,
  response: {
    201: Type.Object(
      {
        ticket: Type.String({ description: 'Single use; 43 base64url characters' }),
        expiresIn: Type.Integer({ description: 'Seconds for which the ticket is good' }),
        protocols: Type.Array(Type.String(), { description: 'The subprotocols to open the WebSocket with' })
      },
      { description: 'A ticket', headers: { 'Cache-Control': Type.String({ description: 'no-store' }) } }
    ),
    400: refusal('The body, the path or the query is not acceptable', ['INVALID_TICKET_REQUEST']),
    401: refusal('Not authenticated', ['UNAUTHENTICATED'], { 'WWW-Authenticate': Type.String({ description: 'Bearer' }) }),
    403: refusal('Not allowed, not from this origin, or not without TLS', [
      'FORBIDDEN',
      'ORIGIN_REFUSED',
      'ORIGIN_MISSING',
      'TLS_REQUIRED'
    ]),
    409: refusal('The user has as many connections as allowed', ['USER_CONNECTED'], retryAfter),
    413: refusal('The body is too large', []),
    415: refusal('The content type is not application/json', ['UNSUPPORTED_MEDIA_TYPE']),
    429: refusal(
      'Too many requests, unused tickets, or connections from this address',
      ['TOO_MANY_REQUESTS', 'TOO_MANY_TICKETS', 'IP_CONNECTED'],
      retryAfter
    ),
    500: refusal('The server failed; what with is in its log', ['AUTHORIZE_FAILED']),
    503: refusal('The server can not do this now', ['SERVER_FULL', 'STORE_FULL', 'UNAVAILABLE'], retryAfter)
  }
}

/**
 * Writes an answer of the ticket route. The schemas above are for documents: by them what an error handler of the app sends would be
 * made to fit.
 */
export function writeAnswer(payload: unknown): string {
  if (!(payload instanceof Error)) return JSON.stringify(payload)
  // what Fastify puts over an error to be told is not enumerable
  const { statusCode, code, error, message }: Record<string, unknown> = Object(payload)
  return JSON.stringify({ statusCode, code, error, message })
}
