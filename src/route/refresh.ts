import Type from 'typebox'
import type { LiveConnection } from '../connection/live-connection.js'
import { fail } from '../errors.js'
import type { MessageLimit } from '../message/limit.js'
import type { MessageDefinition } from '../message/messages.js'
import { compileSchema } from '../message/schema.js'
import { ControlType } from '../protocol.js'
import { type RedeemStage, redeem } from '../ticket/redeem.js'

const payloadShape = Type.Object({ ticket: Type.String() }, { additionalProperties: false })
const replyShape = Type.Object({ expiresAt: Type.Integer() }, { additionalProperties: false })

/**
 * `$refresh`: a new ticket of the same user for the same path extends the session on the open socket, with the claims
 * and the context that the ticket was issued with. A ticket that is refused changes nothing.
 */
export function refreshMessage(stage: RedeemStage, route: string, limit: MessageLimit): MessageDefinition {
  return {
    payload: compileSchema(payloadShape),
    reply: compileSchema(replyShape),
    limit,
    metrics: stage.metrics.messages(ControlType.refresh),
    async handle(payload, connection: LiveConnection) {
      const presented = {
        ticket: ticketIn(payload),
        route,
        path: connection.path,
        origin: connection.origin,
        ipKey: connection.ipKey,
        connection: connection.id,
        isRefresh: true
      }
      const record = await redeem(stage, presented, async ({ userId }) => {
        if (userId !== connection.userId) throw fail('INVALID_TICKET')
      })
      connection.refresh(record)
      return { expiresAt: connection.expiresAt }
    }
  }
}

/** The schema has seen to it that there is one. */
function ticketIn(payload: unknown): string {
  return String(Reflect.get(Object(payload), 'ticket'))
}
