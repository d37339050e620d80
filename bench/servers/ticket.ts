/** This plugin, with all that is on by default; limits are wide, and counted. */
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import { wsTicket } from '../../src/index.js'
import { answer } from '../answer.js'
import { NEWS_TEXT, ORIGIN, SECRET, WIDE } from '../settings.js'
import { contract } from './contract.js'
import { fanOut } from './fan-out.js'
import { portOf } from './port.js'

const app = Fastify()
await app.register(fastifyJwt, { secret: SECRET })
await app.register(wsTicket, { allowedOrigins: [ORIGIN], ...WIDE })
const route = app.wsRoute('/bench', {
  contract,
  handlers: {
    echo: ({ text }) => ({ text }),
    later: async ({ text }) => ({ text })
  },
  onOpen(connection) {
    connection.subscribe('all')
  }
})
await app.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
answer(
  { port: portOf(app.server) },
  fanOut(() => route.publish('all', 'news', { text: NEWS_TEXT }))
)
