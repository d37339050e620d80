import createError, { type FastifyError, type FastifyErrorConstructor } from '@fastify/error'
import type { ValidationIssue } from './protocol.js'

/** Every error of this package: HTTP status and message. The code is `FST_WS_TICKET_` and the name. */
const table = {
  // when the app starts
  INVALID_OPTION: [500, 'Option %s'],
  INVALID_CONTRACT: [500, 'Route %s: %s'],
  ADDRESS_TAKEN: [
    500,
    'Route %s: app.wsRoute declares GET %s and POST %s, but %s is declared already; no other route, of REST or of app.wsRoute, can share them: choose another path, or constraints (host, version) that tell the two apart.'
  ],
  ALREADY_REGISTERED: [
    500,
    'The plugin is registered in this scope already, and may be once in each; give all options in one app.register(wsTicket, …), or register it in a scope of its own: app.register(async (scope) => { await scope.register(wsTicket, …) }, { prefix }).'
  ],
  MISSING_AUTHENTICATION: [500, 'There is nothing to authenticate with: register @fastify/jwt, or give the option authenticate.'],
  GUESSABLE_SECRET: [
    500,
    'The secret of @fastify/jwt is one that is guessed at once; use 32 random bytes or more, as openssl rand -base64 32 makes them.'
  ],
  REDIS_REFUSED: [500, 'Redis does not let this client in (%s); check its user name, its password and what its user may do.'],
  NOT_REGISTERED: [
    500,
    'The plugin is not registered where its metrics are asked for; await app.register(wsTicket, …) first, and give the app or scope that has it.'
  ],
  APP_READY: [
    500,
    'The app is ready, and it is too late to ask for its metrics; do so before app.ready(), app.listen() and the first app.inject().'
  ],
  METRIC_EXISTS: [
    500,
    'The registry has a metric %s already, of another app or your own; give each app a registry of its own: collectPrometheus(app, promClient, { register: new promClient.Registry() }).'
  ],
  METER_TAKEN: [
    500,
    "The meter shows another app under the prefix '%s' already; give each app a meter of its own: collectOpenTelemetry(app, metrics.getMeter('<name>'))."
  ],

  // when the app publishes
  UNKNOWN_EVENT: [500, "There is no event '%s' in %s; known: %s."],
  INVALID_EVENT: [500, "The payload of event '%s' does not match its schema: %s."],
  FRAME_TOO_LARGE: [500, 'A frame of %s bytes is larger than maxBuffered (%s); send less at once or raise it.'],
  INVALID_TARGET: [
    500,
    "The target is %s; give { user: '<id>' }, { connection: '<id>' } or { all: true }, the id a text: String(7) for 7."
  ],
  INVALID_TOPIC: [500, 'The topic is %s; give a text.'],
  INVALID_CLOSE_CODE: [500, 'Close code %s can not be sent; use 1000, 1001, 1008, 1011 to 1013 or 3000 to 4999.'],

  // asking for a ticket
  UNAUTHENTICATED: [401, "Authentication failed; send a valid token as 'Authorization: Bearer <token>'."],
  FORBIDDEN: [403, 'You may not open this connection.'],
  INVALID_TICKET_REQUEST: [400, 'The body must be {} or { "refresh": "<id of an open connection>" }.'],
  UNSUPPORTED_MEDIA_TYPE: [415, "Send the request as 'Content-Type: application/json'."],
  USER_CONNECTED: [409, 'You have as many connections as a user may have (%s); close one first.'],
  TOO_MANY_TICKETS: [429, 'You have as many unused tickets as a user may have (%s); use one or wait.'],
  STORE_FULL: [503, 'The server holds as many tickets as it may; try again later.'],
  AUTHORIZE_FAILED: [500, 'The server failed to find out whether you may open this connection.'],

  // asking for a ticket or an upgrade
  TLS_REQUIRED: [
    403,
    'A secure channel is required; use https: and wss:. Behind a proxy that ends TLS the server needs trustProxy, and X-Forwarded-Proto from the proxy.'
  ],
  ORIGIN_REFUSED: [403, 'This origin is not allowed; the server must list it in allowedOrigins.'],
  ORIGIN_MISSING: [
    403,
    'There is no Origin; send one that the server lists, or let it set allowMissingOrigin for programs that send none.'
  ],
  TOO_MANY_REQUESTS: [429, 'Too many requests; wait for as long as Retry-After says.'],
  IP_CONNECTED: [429, 'There are as many connections from your address as there may be (%s).'],
  SERVER_FULL: [503, 'The server has as many connections as it may have; try again later.'],
  UNAVAILABLE: [503, 'The server can not do this now; try again later.'],

  // upgrading
  BAD_HANDSHAKE: [400, 'This is not a WebSocket handshake (RFC 6455, section 4.1): %s.'],
  MISPLACED_TICKET: [400, "%s; offer the subprotocols 'fastify-ws-ticket.v1' and 'ticket.<ticket>'."],
  INVALID_TICKET: [401, 'The ticket is not valid here; get a new one for this route and path.'],
  NO_WEBSOCKET_ROUTE: [404, 'There is no WebSocket at this address.'],
  UPGRADE_REQUIRED: [426, 'This address speaks WebSocket only; send a WebSocket handshake of version 13.'],
  USER_CONNECTION_LIMIT: [429, 'You have as many connections as a user may have (%s).'],
  TOO_MANY_HEADERS: [431, 'The request has more than %s headers.'],
  CLOSING: [503, 'The server is going away; try again.'],

  // frames
  INVALID_JSON: [400, 'The frame is not acceptable JSON: %s.'],
  INVALID_ENVELOPE: [400, 'A frame is { type, id?, payload? }, type a text and id a non-negative integer: %s.'],
  INVALID_PAYLOAD: [400, 'The payload does not match the schema of this type; see errors.'],
  UNKNOWN_TYPE: [404, "This route has no message '%s'; known: %s."],
  RATE_LIMITED: [429, 'Too many messages; wait for retryAfter milliseconds.'],
  TOO_MANY_IN_FLIGHT: [429, 'Too many messages are waiting for an answer; wait for one.'],
  HANDLER_FAILED: [500, 'The server failed to handle the message.'],
  HANDLER_TIMEOUT: [503, 'The message was not handled in time; it may still take effect.'],

  // names in the log only
  TICKET_REPLAYED: [401, 'A ticket was used again.'],
  BUS_MESSAGE_IGNORED: [400, 'A message of another node was not one, or not for a route that there is.'],
  UPGRADE_TOO_EARLY: [
    400,
    'An upgrade came on a connection before an earlier request on it was answered; nothing can be answered in that order, and the connection was closed. A client waits for the answer, or opens another connection.'
  ],
  UPGRADE_REFUSED_BY_HOOK: [
    401,
    'A hook of the app refused an upgrade before its ticket was looked at. An upgrade carries a ticket and no JWT: let no hook of app.wsRoute ask for one, since the ticket route verifies it, and any other pass where request.isTicketUpgrade is true.'
  ]
} as const satisfies Record<string, readonly [statusCode: number, message: string]>

/** What every code of this package begins with. */
export const CODE_PREFIX = 'FST_WS_TICKET_'

/** The name of an error, its code without the prefix. */
export type ErrorName = keyof typeof table

/** The codes of this package's errors, in HTTP answers, in `$error` frames and in the log. */
export type ErrorCode = `${typeof CODE_PREFIX}${ErrorName}`

/** Where the entry of a code stands, in the package as it is installed. */
function helpOf(name: ErrorName): string {
  return `fastify-ws-ticket/docs/errors.md#${codeOf(name).toLowerCase()}`
}

/** What an error carries besides its code, status and message. */
export interface ErrorDetails {
  /** Milliseconds to wait before the next try; becomes `Retry-After` or `retryAfter`. */
  retryAfterMs?: number
  /** HTTP headers of the answer, set by Fastify's error handling. */
  headers?: Record<string, string>
  /** What a schema objected to. */
  errors?: ValidationIssue[]
  /** What was thrown below; for the log, never for a client. */
  cause?: unknown
  /** The Origin that came, cut and escaped; for the log, never for a client. */
  origin?: string
}

/** An error of this package. `help` is the place of its entry in the documents. */
export type TicketError = FastifyError & ErrorDetails & { statusCode: number; help: string }

const codes: ReadonlySet<unknown> = new Set(Object.keys(table).map((name) => CODE_PREFIX + name))

/** Is this one of the codes of the table? */
export function isErrorCode(code: unknown): code is ErrorCode {
  return codes.has(code)
}

/**
 * May a client know what an error says? Of one that says it is the client's (`statusCode` 400 to 499) and of this package's own that
 * say to try later; of any other that the server failed.
 */
export function isTellable(statusCode: unknown, code: unknown): statusCode is number {
  if (typeof statusCode !== 'number' || !Number.isInteger(statusCode)) return false
  return (statusCode >= 400 && statusCode <= 499) || (statusCode === 503 && isErrorCode(code))
}

/** The code that stands for a name. */
export function codeOf(name: ErrorName): ErrorCode {
  return `${CODE_PREFIX}${name}`
}

/** What stands in the table under a name; places of its message that are filled when it is made are `…`. */
export function entryOf(name: ErrorName): { code: ErrorCode; statusCode: number; message: string } {
  const [statusCode, message] = table[name]
  return { code: codeOf(name), statusCode, message: message.replaceAll('%s', '…') }
}

/**
 * Makes an error of the table. The values fill the places of its message in order.
 *
 * @example throw fail('TOO_MANY_TICKETS', [10], { retryAfterMs: 3000 })
 */
export function fail(name: ErrorName, values: readonly (string | number)[] = [], details: ErrorDetails = {}): TicketError {
  const [statusCode] = table[name]
  const error = constructorOf(name)(...values)
  return Object.assign(error, { statusCode, help: helpOf(name) }, withHeaders(details))
}

type AnyArguments = FastifyErrorConstructor<{ code: string }, unknown[]>

const constructors = new Map<ErrorName, AnyArguments>()

function constructorOf(name: ErrorName): AnyArguments {
  const known = constructors.get(name)
  if (known) return known
  const [statusCode, message] = table[name]
  // only what the app itself did wrong is worth a stack trace; what a client did must stay cheap
  const made = createError<unknown[]>(codeOf(name), message, statusCode, Error, statusCode === 500)
  constructors.set(name, made)
  return made
}

function withHeaders(details: ErrorDetails): ErrorDetails {
  if (details.retryAfterMs === undefined) return details
  return { ...details, headers: { ...details.headers, 'retry-after': retryAfterSeconds(details.retryAfterMs) } }
}

/** `Retry-After` counts whole seconds (RFC 9110, section 10.2.3); never less than one, so that it says to wait. */
function retryAfterSeconds(ms: number): string {
  return String(Math.max(1, Math.ceil(ms / 1000)))
}
