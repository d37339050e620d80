import { fail } from '../errors.js'
import { tellFailure } from '../failure-watch.js'
import { logFailure } from '../log-failure.js'
import { outcomeOf } from '../metrics/outcome.js'
import { encodeError, encodeReply } from '../protocol.js'
import type { MessageCall } from './call.js'
import { describeError } from './failure.js'
import type { MessageDefinition } from './messages.js'
import type { CallOutcomes } from './pipeline.js'

/** Of a text in UTF-8, for each of its UTF-16 code units. */
const MAX_BYTES_A_CHARACTER = 3

/** Answers on its connection what the handler of a message returned or threw. */
export function replyOutcomes(maxBytes: number): CallOutcomes<MessageCall> {
  return {
    mayBegin: ({ connection }, now) => connection.isInSession(now),
    succeeded(call, result) {
      try {
        if (call.id !== undefined) call.connection.write(encodeChecked(call.id, result, call.definition, maxBytes))
        call.ended('ok')
      } catch (error) {
        answerFailure(call, error)
      }
    },
    failed: answerFailure,
    timedOut: (call) => answerFailure(call, fail('HANDLER_TIMEOUT'))
  }
}

function answerFailure(call: MessageCall, error: unknown): void {
  const { connection, id, type } = call
  const told = describeError(error)
  // what a client caused is worth no line
  if (told.statusCode >= 500) {
    logFailure(connection.log, error, 'a message could not be handled', { type })
    tellFailure(connection, error, id)
  }
  call.ended(outcomeOf(told))
  connection.write(encodeError(id, told))
}

/** @throws Error for a reply that does not match its schema, is circular, or too large */
function encodeChecked(id: number, result: unknown, definition: MessageDefinition, maxBytes: number): string {
  const schema = definition.reply
  if (schema && !schema.check(result)) {
    throw Object.assign(new Error('the reply does not match its schema'), { issues: schema.issues(result) })
  }
  const frame = encodeReply(id, schema ? result : null)
  if (frame.length * MAX_BYTES_A_CHARACTER <= maxBytes) return frame
  const bytes = Buffer.byteLength(frame)
  if (bytes > maxBytes) throw fail('FRAME_TOO_LARGE', [bytes, maxBytes])
  return frame
}
