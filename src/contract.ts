/**
 * The contract of a route: which messages may come, what answers them, which events may go. No Node, no Fastify.
 */
import type { Static, TSchema } from 'typebox'

/** A message from client to server. Without `reply` the answer's payload is `null`. */
export interface MessageContract {
  payload: TSchema
  reply?: TSchema
}

/** What a route speaks: messages (client → server) and events (server → client), by type. */
export interface Contract {
  messages: Record<string, MessageContract>
  events: Record<string, TSchema>
}

declare const mark: unique symbol

/** Their names are what TypeScript says where something stands in a place that is not its own. */
interface TheAnswerToAMessageStandsInReply {
  readonly [mark]: never
}
interface TheSchemaOfAnEventStandsByItself {
  readonly [mark]: never
}

/** A message that does not name its reply as others do. */
interface PlainMessage extends MessageContract {
  readonly response?: TheAnswerToAMessageStandsInReply
}

/** An event that is not written as a message is. */
type PlainEvent = TSchema & { readonly payload?: TheSchemaOfAnEventStandsByItself }

/**
 * Declares what a route speaks. Types of handlers, `send` and `publish` are inferred from it.
 * Objects are strict: a property that the schema does not name is refused, unless the schema says
 * `additionalProperties` itself. Type names must not begin with `$`.
 *
 * @example
 * const contract = defineContract({
 *   messages: {
 *     'chat.send': {
 *       payload: Type.Object({ text: Type.String({ maxLength: 500 }) }),
 *       reply: Type.Object({ id: Type.String() })
 *     }
 *   },
 *   events: { 'chat.message': Type.Object({ text: Type.String() }) }
 * })
 */
export function defineContract<
  Messages extends Record<string, PlainMessage> = Record<never, never>,
  Events extends Record<string, PlainEvent> = Record<never, never>
>(contract: { messages?: Messages; events?: Events }): { messages: Messages; events: Events }
export function defineContract(contract: Partial<Contract>): Contract {
  // what does not belong there is kept, to be refused when the contract is used
  return Object.freeze({ ...contract, messages: contract.messages ?? {}, events: contract.events ?? {} })
}

/** The names of a contract's messages. */
export type MessageType<C extends Contract> = keyof C['messages'] & string

/** The names of a contract's events. */
export type EventType<C extends Contract> = keyof C['events'] & string

/** What the client sends with a message. */
export type MessagePayload<C extends Contract, T extends MessageType<C>> = Static<C['messages'][T]['payload']>

/** The payload and what follows it. Where `{}` is one it may be left out, as the server takes a missing payload for that. */
export type WithPayload<Payload, Rest extends unknown[] = []> =
  Record<never, never> extends Payload ? [payload?: Payload | undefined, ...rest: Rest] : [payload: Payload, ...rest: Rest]

/** What the server answers a message with: null where the contract has no reply. */
export type MessageReply<C extends Contract, T extends MessageType<C>> = C['messages'][T] extends {
  reply: infer Reply extends TSchema
}
  ? Static<Reply>
  : MessageContract extends C['messages'][T]
    ? unknown
    : null

/** What the server sends with an event. */
export type EventPayload<C extends Contract, T extends EventType<C>> = Static<C['events'][T]>
