/** @fastify/websocket with what it takes to be careful: a schema, and a token bucket for each connection. */
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { answer } from '../answer.js'
import { WIDE } from '../settings.js'
import { text } from './contract.js'
import { portOf } from './port.js'

const envelope = Compile(
  Type.Object({ type: Type.Literal('echo'), id: Type.Integer({ minimum: 0 }), payload: text }, { additionalProperties: false })
)
const { max, timeWindow } = WIDE.rateLimit

const app = Fastify()
await app.register(fastifyWebsocket)
app.get('/', { websocket: true }, (socket) => {
  let tokens = max
  let filledAt = performance.now()
  const takeToken = () => {
    const now = performance.now()
    tokens = Math.min(max, tokens + ((now - filledAt) * max) / timeWindow)
    filledAt = now
    if (tokens < 1) return false
    tokens--
    return true
  }
  socket.on('error', () => {})
  socket.on('message', (data: Buffer) => {
    if (!takeToken()) return socket.close(4429)
    const message: unknown = JSON.parse(data.toString())
    if (!envelope.Check(message)) return socket.close(4400)
    socket.send(JSON.stringify({ type: '$reply', id: message.id, payload: { text: message.payload.text } }))
  })
})
await app.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
answer({ port: portOf(app.server) })
