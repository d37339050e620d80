import { strict } from '../message/schema.js'
import { needsNewerDraft, SchemaWriter } from './schema.js'
import type { JsonObject, PayloadSchema } from './types.js'

const NEWER_FORMAT = 'application/schema+json;version=draft-2020-12'

export const FRAME_ID: JsonObject = {
  type: 'integer',
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'Chosen by the client; the answer has the same.'
}

/** How a message and its answer find each other: `payload` is the whole frame. */
export const CORRELATION = { description: 'A message and its answer have the same id.', location: '$message.payload#/id' }

export interface Frame {
  readonly type: string
  /** What stands between `type` and `payload`. */
  readonly fields?: JsonObject
  readonly required: readonly string[]
  /** A schema as the contract has it. */
  readonly payload: object
  /** From the client, which may add nothing. */
  readonly isClosed?: boolean
}

/** The schema of a whole frame, at a place of the document. */
export function frameSchema(pointer: string, { type, fields, required, payload, isClosed }: Frame): PayloadSchema {
  const strictPayload = strict(payload)
  const isNewer = needsNewerDraft(strictPayload)
  const [place, keyword] = isNewer ? [`${pointer}/schema`, '$defs'] : [pointer, 'definitions']
  const writer = new SchemaWriter(`${place}/${keyword}`, isNewer)
  const written = writer.write(strictPayload)
  const schema: JsonObject = {
    type: 'object',
    properties: { type: { const: type }, ...fields, payload: written },
    required,
    ...(isClosed && { additionalProperties: false }),
    ...(Object.keys(writer.definitions).length > 0 && { [keyword]: writer.definitions })
  }
  return isNewer ? { schemaFormat: NEWER_FORMAT, schema } : schema
}
