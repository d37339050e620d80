import type { TSchema } from 'typebox'
import type { Connection } from '../connection/connection.js'
import type { Contract, MessagePayload, MessageReply, MessageType } from '../contract.js'
import type { LimitScope } from '../message/limit.js'
import type { Rate } from '../options.js'

/**
 * Handles one message; what it returns is the reply. An error with a `statusCode` from 400 to 499 is told to the client
 * with its `code` and `message`; any other becomes FST_WS_TICKET_HANDLER_FAILED and is logged.
 */
export type Handler<C extends Contract, T extends MessageType<C>, Context = unknown, Params = unknown> = (
  payload: MessagePayload<C, T>,
  connection: Connection<C, Context, Params>
) => HandlerReply<C, T> | Promise<HandlerReply<C, T>>

/** What a handler returns: nothing where the contract has no reply. */
type HandlerReply<C extends Contract, T extends MessageType<C>> = C['messages'][T] extends { reply: TSchema } ? MessageReply<C, T> : void

/** A handler with a limit of its own. */
export interface HandlerOptions<C extends Contract, T extends MessageType<C>, Context = unknown, Params = unknown> {
  handler: Handler<C, T, Context, Params>
  /** How many messages of this type; counted by `per`: `'connection'` (default), `'user'` or `'ip'`. */
  rateLimit?: Rate & { per?: LimitScope }
}

/** A handler for each message of the contract. */
export type Handlers<C extends Contract, Context = unknown, Params = unknown> = {
  [T in MessageType<C>]: Handler<C, T, Context, Params> | HandlerOptions<C, T, Context, Params>
}
