import type { Clock } from '../clock.js'
import { codeOf, fail } from '../errors.js'
import { tellFailure } from '../failure-watch.js'
import { logFailure } from '../log-failure.js'
import type { MessageMetrics } from '../metrics/message-metrics.js'
import { outcomeOf } from '../metrics/outcome.js'
import { type ClientFrame, CloseCode, ControlType, encodeError, encodeReply } from '../protocol.js'
import { MessageCall } from './call.js'
import type { MessageConnection } from './connection.js'
import { checkEnvelope, salvageId } from './envelope.js'
import { describeError } from './failure.js'
import { inspectJson, parseJson } from './json.js'
import type { MessageLimit } from './limit.js'
import type { MessageDefinition, MessageTable } from './messages.js'
import { unknownType } from './unknown-type.js'

/** What receiving a frame needs of its route. */
export interface ReceiveStage {
  readonly table: MessageTable
  readonly settings: { readonly maxDepth: number }
  readonly clock: Clock
}

/** Takes one message of an open connection through all checks to its handler, and answers what it refuses. Never throws. `now` is the clock's. */
export function receive(stage: ReceiveStage, connection: MessageConnection, text: string, now: number): void {
  const { table, settings } = stage
  const wait = table.limit.take(connection, now)
  if (wait > 0) return refuseOverLimit(stage, connection, { metrics: table.unknown, id: undefined, now }, wait)

  const frame = decode(text, settings.maxDepth)
  if ('error' in frame) return refuseBad(stage, connection, { metrics: table.unknown, id: frame.id, now }, frame.error)
  if (frame.type === ControlType.ping) return answerPing(stage, connection, frame.id)

  const definition = table.definitions.get(frame.type)
  if (!definition) {
    return refuseBad(stage, connection, { metrics: table.unknown, id: frame.id, now }, unknownType(frame.type, table.knownTypes))
  }
  try {
    offer(stage, connection, frame, definition, now)
  } catch (error) {
    // a schema's own check may throw
    if (isLine(connection, table.faultLines, now)) {
      logFailure(connection.log, error, 'a message could not be checked; more are not logged for a minute', { type: frame.type })
    }
    tellFailure(connection, error, frame.id)
    refuse(connection, { metrics: definition.metrics, id: frame.id, now }, error)
  }
}

/** A message without a payload is one with nothing in it. */
function offer(stage: ReceiveStage, connection: MessageConnection, frame: ClientFrame, definition: MessageDefinition, now: number): void {
  const { id, payload = {} } = frame
  const refused = { metrics: definition.metrics, id, now }
  const wait = definition.limit?.take(connection, now) ?? 0
  if (wait > 0) return refuseOverLimit(stage, connection, refused, wait)

  if (!definition.payload.check(payload)) return refusePayload(stage, connection, refused, definition, payload)

  const call = new MessageCall(frame, payload, definition, connection, stage.clock)
  if (!connection.pipeline.accept(call, now)) refuse(connection, refused, fail('TOO_MANY_IN_FLIGHT'))
}

/** At once, past the messages that wait: pages can not see the pings of RFC 6455, and ask in this way whether anybody is there. */
function answerPing({ table }: ReceiveStage, connection: MessageConnection, id: number | undefined): void {
  table.pings.ended('ok')
  if (id !== undefined) connection.write(encodeReply(id, null))
}

function decode(text: string, maxDepth: number): ClientFrame | { error: unknown; id: number | undefined } {
  let value: unknown
  try {
    value = parseJson(text)
    inspectJson(value, maxDepth)
    return checkEnvelope(value)
  } catch (error) {
    return { error, id: salvageId(value) }
  }
}

/** A message that is not handled: how it is counted, the id to answer with, and when it came. */
interface Refused {
  readonly metrics: MessageMetrics
  readonly id: number | undefined
  readonly now: number
}

function refuseOverLimit(stage: ReceiveStage, connection: MessageConnection, refused: Refused, retryAfterMs: number): void {
  refuse(connection, refused, fail('RATE_LIMITED', [], { retryAfterMs }))
  const isOver = stage.table.violations.take(connection, refused.now) > 0
  if (isOver) connection.end(CloseCode.limitsExceeded, 'limits exceeded too often')
}

/** Counts first, since to explain costs more than to check. */
function refuseBad(stage: ReceiveStage, connection: MessageConnection, refused: Refused, error: unknown): void {
  if (isOneBadTooMany(stage, connection, refused, describeError(error))) return
  refuse(connection, refused, error)
}

function refusePayload(
  stage: ReceiveStage,
  connection: MessageConnection,
  refused: Refused,
  definition: MessageDefinition,
  payload: unknown
): void {
  if (isOneBadTooMany(stage, connection, refused, { code: codeOf('INVALID_PAYLOAD') })) return
  refuse(connection, refused, fail('INVALID_PAYLOAD', [], { errors: definition.payload.issues(payload) }))
}

function isOneBadTooMany(
  stage: ReceiveStage,
  connection: MessageConnection,
  { metrics, now }: Refused,
  error: { readonly code: string }
): boolean {
  const { code } = error
  if (isLine(connection, stage.table.badLines, now)) {
    connection.log.info({ code }, 'a bad message; more are not logged for a minute')
  }
  const isOver = stage.table.badMessages.take(connection, now) > 0
  if (!isOver) return false
  metrics.ended(outcomeOf(error))
  connection.end(CloseCode.badMessages, 'too many bad messages')
  return true
}

function isLine(connection: MessageConnection, lines: MessageLimit, now: number): boolean {
  return lines.take(connection, now) === 0
}

function refuse(connection: MessageConnection, { metrics, id }: Refused, error: unknown): void {
  const told = describeError(error)
  metrics.ended(outcomeOf(told))
  connection.write(encodeError(id, told))
}
