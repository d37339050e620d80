import { fail } from '../errors.js'
import { logFailure } from '../log-failure.js'
import { encodeError, encodeReply } from '../protocol.js'
import type { MessageCall } from './connection.js'
import { describeError, isServerFault } from './failure.js'
import type { MessageDefinition } from './messages.js'
import type { CallOutcomes } from './pipeline.js'

/** Of a text in UTF-8, for each of its UTF-16 code units. */
const MAX_BYTES_A_CHARACTER = 3

/** Answers on its connection what the handler of a message returned or threw. */
export function replyOutcomes(definitions: ReadonlyMap<string, MessageDefinition>, maxBytes: number): CallOutcomes<MessageCall> {
  return {
    mayBegin: ({ connection }) => connection.isInSession(),
    succeeded(call, result) {
      if (call.id === undefined) return
      try {
        call.connection.write(encodeChecked(call.id, result, definitions.get(call.type), maxBytes))
      } catch (error) {
        answerFailure(call, error)
      }
    },
    failed: answerFailure,
    timedOut: (call) => answerFailure(call, fail('HANDLER_TIMEOUT'))
  }
}

function answerFailure({ connection, id, type }: MessageCall, error: unknown): void {
  if (isServerFault(error)) logFailure(connection.log, error, 'a message could not be handled', { type })
  connection.write(encodeError(id, describeError(error)))
}

/** @throws Error for a reply that does not match its schema, is circular, or too large */
function encodeChecked(id: number, result: unknown, definition: MessageDefinition | undefined, maxBytes: number): string {
  const schema = definition?.reply
  if (schema && !schema.check(result)) {
    throw Object.assign(new Error('the reply does not match its schema'), { issues: schema.issues(result) })
  }
  const frame = encodeReply(id, schema ? result : null)
  if (frame.length * MAX_BYTES_A_CHARACTER <= maxBytes) return frame
  const bytes = Buffer.byteLength(frame)
  if (bytes > maxBytes) throw fail('FRAME_TOO_LARGE', [bytes, maxBytes])
  return frame
}
