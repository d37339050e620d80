/**
 * The wire format that server and client share. No Node, no Fastify.
 */

/** The subprotocol that the server selects; its version is the version of this wire format. */
export const SUBPROTOCOL = 'fastify-ws-ticket.v1'

/** What precedes the ticket where it is offered as a subprotocol. The server never selects it. */
export const TICKET_PROTOCOL_PREFIX = 'ticket.'

/**
 * Close codes (RFC 6455, section 7.4). From 4000 on they are 4000 + the HTTP status that says the same.
 */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  unsupportedData: 1003,
  messageTooBig: 1009,
  internalError: 1011,
  serviceRestart: 1012,
  slowConsumer: 1013,
  badMessages: 4400,
  sessionExpired: 4401,
  disconnected: 4403,
  unresponsive: 4408,
  ticketReplayed: 4409,
  limitsExceeded: 4429
} as const

/** Types beginning with this sign belong to the protocol; a contract can't define them. */
export const CONTROL_PREFIX = '$'

/** The types of the protocol's own frames. */
export const ControlType = {
  welcome: '$welcome',
  expiring: '$expiring',
  refresh: '$refresh',
  ping: '$ping',
  reply: '$reply',
  error: '$error'
} as const

/** A frame from the client: `id` (a non-negative integer) asks for an answer. */
export interface ClientFrame {
  type: string
  id?: number
  payload?: unknown
}

/** The payload of a `$error` frame. */
export interface ErrorPayload {
  /** A stable code, `FST_WS_TICKET_…` or the application's own. */
  code: string
  /** The HTTP status that says the same. */
  statusCode: number
  /** What was wrong and what to do. */
  message: string
  /** Milliseconds to wait before the next try. */
  retryAfter?: number
  /** What a schema objected to. */
  errors?: ValidationIssue[]
}

/** One objection of a schema. */
export interface ValidationIssue {
  /** JSON Pointer (RFC 6901) into the payload; empty for the payload itself. */
  path: string
  message: string
}

/** `$welcome`, the first frame: the connection's id and the end of its session in milliseconds since 1970. */
export function encodeWelcome(connection: string, expiresAt: number): string {
  return JSON.stringify({ type: ControlType.welcome, payload: { connection, expiresAt } })
}

/** `$expiring`: the session ends at `expiresAt` (milliseconds since 1970) unless it is refreshed. */
export function encodeExpiring(expiresAt: number): string {
  return JSON.stringify({ type: ControlType.expiring, payload: { expiresAt } })
}

/** `$reply`: the answer to the frame of that id. A handler that returns nothing is answered with `null`. */
export function encodeReply(id: number, payload: unknown): string {
  return `{"type":"${ControlType.reply}","id":${id},"payload":${JSON.stringify(payload) ?? 'null'}}`
}

/** `$error`: with the id of the frame that caused it, where it had one. */
export function encodeError(id: number | undefined, payload: ErrorPayload): string {
  return JSON.stringify({ type: ControlType.error, id, payload })
}

/** An event of the contract, with the topic it was published to, if any. */
export function encodeEvent(type: string, payload: unknown, topic?: string): string {
  return JSON.stringify({ type, topic, payload })
}
