/** The least that a handshake with a ticket can be on Fastify: a ticket for everybody who asks, and no guard whatever. */
import { randomBytes } from 'node:crypto'
import fastifyWebsocket from '@fastify/websocket'
import Fastify, { type FastifyRequest } from 'fastify'
import { answer } from '../answer.js'
import { portOf } from './port.js'

const tickets = new Set<string>()

async function redeem({ headers }: FastifyRequest): Promise<void> {
  const [, offered = ''] = String(headers['sec-websocket-protocol']).split(', ')
  if (!tickets.delete(offered)) throw new Error('no ticket')
}

const app = Fastify()
await app.register(fastifyWebsocket)
app.post('/bench/ticket', async (_request, reply) => {
  const ticket = randomBytes(32).toString('base64url')
  tickets.add(ticket)
  reply.code(201)
  return { protocols: ['v1', ticket] }
})
app.get('/bench', { websocket: true, onRequest: redeem }, (socket) => socket.send('{"type":"$welcome"}'))
await app.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
answer({ port: portOf(app.server) })
