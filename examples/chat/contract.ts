import { defineContract } from 'fastify-ws-ticket'
import Type from 'typebox'

/** The name of a room: what may stand in a URL as it is. */
export const roomName = Type.String({ minLength: 1, maxLength: 64, pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' })

/** What somebody says; not only white space. */
export const messageText = Type.String({ minLength: 1, maxLength: 500, pattern: '\\S' })

/** What the clients and the server of `/chat` say to each other. */
export const chatContract = defineContract({
  messages: {
    'room.join': {
      payload: Type.Object({ room: roomName }),
      reply: Type.Object({ members: Type.Array(Type.String()) })
    },
    'room.leave': {
      payload: Type.Object({ room: roomName }),
      reply: Type.Object({})
    },
    'chat.send': {
      payload: Type.Object({ room: roomName, text: messageText }),
      reply: Type.Object({ id: Type.String() })
    }
  },
  events: {
    'chat.message': Type.Object({
      room: Type.String(),
      from: Type.String(),
      text: Type.String(),
      id: Type.String(),
      at: Type.String({ format: 'date-time' })
    })
  }
})
