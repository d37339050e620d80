import Type, { type TSchema } from 'typebox'
import { codeOf, type ErrorName, entryOf } from '../errors.js'
import { ControlType } from '../protocol.js'
import { CORRELATION, FRAME_ID, type Frame, frameSchema } from './frames.js'
import type { AsyncApiMessage } from './types.js'

/** What any message may be answered with. */
const MESSAGE_ERRORS = [
  'INVALID_JSON',
  'INVALID_ENVELOPE',
  'INVALID_PAYLOAD',
  'UNKNOWN_TYPE',
  'RATE_LIMITED',
  'TOO_MANY_IN_FLIGHT',
  'HANDLER_FAILED',
  'HANDLER_TIMEOUT'
] as const satisfies ErrorName[]

/** What `$refresh` may be answered with besides. */
const REFRESH_ERRORS = ['INVALID_TICKET', 'UNAVAILABLE'] as const satisfies ErrorName[]

const TIME = 'Milliseconds since 1970'

const expiry = Type.Object({ expiresAt: Type.Integer({ description: TIME }) })

const errorPayload = Type.Object(
  {
    code: Type.String({
      description: "One of x-errors, or the application's own",
      examples: [codeOf('INVALID_PAYLOAD')]
    }),
    statusCode: Type.Integer({ minimum: 400, maximum: 599, description: 'The HTTP status that says the same' }),
    message: Type.String(),
    retryAfter: Type.Optional(Type.Integer({ minimum: 1, description: 'Milliseconds to wait before the next try' })),
    errors: Type.Optional(
      Type.Array(Type.Object({ path: Type.String({ description: 'JSON Pointer into the payload' }), message: Type.String() }), {
        description: 'What the schema objected to'
      })
    )
  },
  { additionalProperties: true }
)

interface ControlFrame extends Omit<Frame, 'payload'> {
  readonly summary: string
  readonly payload: TSchema
}

const ANSWER = { fields: { id: FRAME_ID }, required: ['type', 'id', 'payload'] }
const NOTICE = { required: ['type', 'payload'] }

/** The protocol's own frames, by their keys in `components.messages`. */
const FRAMES = {
  welcome: {
    type: ControlType.welcome,
    summary: 'The first frame: the id of the connection, and the end of its session',
    payload: Type.Object({ connection: Type.String(), expiresAt: Type.Integer({ description: TIME }) }),
    ...NOTICE
  },
  expiring: { type: ControlType.expiring, summary: 'The session ends then unless it is refreshed', payload: expiry, ...NOTICE },
  error: {
    type: ControlType.error,
    summary: 'A message was refused, or failed',
    fields: { id: FRAME_ID },
    payload: errorPayload,
    ...NOTICE
  },
  refresh: {
    type: ControlType.refresh,
    summary: 'A new ticket extends the session on the open connection',
    fields: { id: FRAME_ID },
    payload: Type.Object({ ticket: Type.String({ description: 'Asked for with `{ "refresh": "<id of the connection>" }`' }) }),
    isClosed: true,
    ...NOTICE
  },
  'refresh.reply': { type: ControlType.reply, summary: 'The new end of the session', payload: expiry, ...ANSWER },
  ping: {
    type: ControlType.ping,
    summary: 'Asks whether the server is there',
    fields: { id: FRAME_ID },
    payload: Type.Object({}),
    required: ['type'],
    isClosed: true
  },
  'ping.reply': { type: ControlType.reply, summary: 'The server is there', payload: Type.Null(), ...ANSWER }
} as const satisfies Record<string, ControlFrame>

export type ControlKey = keyof typeof FRAMES

/** The messages that all channels have in common. */
export function controlMessages(): Record<string, AsyncApiMessage> {
  return Object.fromEntries(Object.entries(FRAMES).map(([key, frame]) => [key, controlMessage(key, frame)]))
}

function controlMessage(key: string, { summary, ...frame }: ControlFrame): AsyncApiMessage {
  return {
    name: frame.type,
    summary,
    ...(frame.fields && { correlationId: CORRELATION }),
    payload: frameSchema(`#/components/messages/${key}/payload`, frame),
    ...(frame.type === ControlType.error && { 'x-errors': [...MESSAGE_ERRORS, ...REFRESH_ERRORS].map(entryOf) })
  }
}
