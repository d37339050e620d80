import type { FastifyInstance, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { requireUser } from './auth.js'
import { type ChatRoute, publishMessage } from './chat.js'
import { messageText, roomName } from './contract.js'
import { bearerOnly, errorResponse } from './rest-schemas.js'

const params = Type.Object({ room: roomName })
const body = Type.Object({ text: messageText }, { additionalProperties: false })

interface MessageRequest {
  Params: Static<typeof params>
  Body: Static<typeof body>
}

/** The way from REST to open WebSockets: what is posted here reaches everybody in the room. */
export function declareMessages(app: FastifyInstance, chat: ChatRoute): void {
  app.post<MessageRequest>('/rooms/:room/messages', {
    schema: {
      tags: ['chat'],
      summary: 'Sends a message to a room',
      security: bearerOnly,
      params,
      body,
      response: {
        202: Type.Object({ id: Type.String() }, { description: 'On its way to those in the room' }),
        400: errorResponse,
        401: errorResponse,
        429: errorResponse
      }
    },
    config: { rateLimit: { max: 10, timeWindow: '10 seconds', hook: 'preHandler', keyGenerator: userOf } },
    onRequest: requireUser,
    async handler(request, reply) {
      reply.code(202)
      return { id: publishMessage(chat, request.params.room, request.userName, request.body.text) }
    }
  })
}

function userOf(request: FastifyRequest): string {
  return request.userName
}
