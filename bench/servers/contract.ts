import Type from 'typebox'
import { defineContract } from '../../src/index.js'

export const text = Type.Object({ text: Type.String({ maxLength: 500 }) })

/** The messages and the event of the echo and fan-out parts. */
export const contract = defineContract({
  messages: {
    echo: { payload: text, reply: text },
    later: { payload: text, reply: text }
  },
  events: { news: text }
})
