import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { WsRoute } from 'fastify-ws-ticket'
import { chatContract } from './contract.js'
import { TooManyRooms } from './errors.js'
import type { Rooms } from './rooms.js'

const MAX_ROOMS = 20

export type ChatRoute = WsRoute<typeof chatContract>

/** The WebSocket route `/chat`. `home` is the origin under which the app is reached. */
export function declareChat(app: FastifyInstance, rooms: Rooms, home: string): ChatRoute {
  const chat: ChatRoute = app.wsRoute('/chat', {
    contract: chatContract,
    schema: {
      tags: ['chat'],
      description: 'The ticket opens one WebSocket at /chat. It is good for seconds, and once.',
      security: [{ bearer: [] }],
      externalDocs: { url: `${home}/asyncapi.json#/channels/chat`, description: 'What is said at /chat, in AsyncAPI' }
    },
    handlers: {
      async 'room.join'({ room }, connection) {
        if (!rooms.has(room, connection) && rooms.roomsOf(connection).length >= MAX_ROOMS) throw new TooManyRooms(MAX_ROOMS)
        await rooms.join(room, connection)
        // from the reply on, nothing that is said in the room is missed
        await connection.subscribe(topicOf(room))
        return { members: await rooms.namesIn(room) }
      },

      async 'room.leave'({ room }, connection) {
        connection.unsubscribe(topicOf(room))
        await rooms.leave(room, connection)
        return {}
      },

      'chat.send': {
        rateLimit: { max: 10, timeWindow: '10 seconds', per: 'user' },
        handler: ({ room, text }, connection) => ({ id: publishMessage(chat, room, connection.userId, text) })
      }
    },
    onClose: (connection) => rooms.leaveAll(connection)
  })

  return chat
}

/** Tells a room what somebody says; answers the id of the message. */
export function publishMessage(chat: ChatRoute, room: string, from: string, text: string): string {
  const id = randomUUID()
  chat.publish(topicOf(room), 'chat.message', { room, from, text, id, at: new Date().toISOString() })
  return id
}

function topicOf(room: string): string {
  return `room:${room}`
}
