import Type, { type TSchema } from 'typebox'
import type { MessageContract } from '../contract.js'
import type { MessageDefinition } from '../message/messages.js'
import { ControlType } from '../protocol.js'
import { CORRELATION, FRAME_ID, frameSchema } from './frames.js'
import type { AsyncApiMessage } from './types.js'

/** @param pointer where the message will stand in the document */
export function clientMessage(
  pointer: string,
  type: string,
  { payload }: MessageContract,
  definition: MessageDefinition | undefined
): AsyncApiMessage {
  const isOptional = definition?.payload.check({})
  return {
    name: type,
    ...described(payload),
    correlationId: CORRELATION,
    payload: frameSchema(`${pointer}/payload`, {
      type,
      fields: { id: { ...FRAME_ID, description: 'Asks for an answer, which has the same id.' } },
      required: isOptional ? ['type'] : ['type', 'payload'],
      payload,
      isClosed: true
    })
  }
}

export function replyMessage(pointer: string, type: string, { reply }: MessageContract): AsyncApiMessage {
  return {
    name: ControlType.reply,
    title: `Reply to ${type}`,
    ...summaryOf(reply),
    correlationId: CORRELATION,
    payload: frameSchema(`${pointer}/payload`, {
      type: ControlType.reply,
      fields: { id: FRAME_ID },
      required: ['type', 'id', 'payload'],
      payload: reply === undefined || isNothing(reply) ? Type.Null() : reply
    })
  }
}

export function eventMessage(pointer: string, type: string, schema: TSchema): AsyncApiMessage {
  return {
    name: type,
    ...described(schema),
    payload: frameSchema(`${pointer}/payload`, {
      type,
      fields: { topic: { type: 'string', description: 'The topic it was published to, if any' } },
      required: ['type', 'payload'],
      payload: schema
    })
  }
}

/** What a handler that returns nothing may have for its reply; `null` is sent. */
function isNothing(schema: TSchema): boolean {
  return 'type' in schema && (schema.type === 'void' || schema.type === 'undefined')
}

function described(schema: TSchema): { title?: string; summary?: string } {
  return { ...('title' in schema && { title: String(schema.title) }), ...summaryOf(schema) }
}

function summaryOf(schema: TSchema | undefined): { summary?: string } {
  return schema && 'description' in schema ? { summary: String(schema.description) } : {}
}
