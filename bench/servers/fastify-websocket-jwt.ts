/** @fastify/websocket with the JWT in the query, where it comes into logs and histories. */
import fastifyWebsocket from '@fastify/websocket'
import { createVerifier } from 'fast-jwt'
import Fastify, { type FastifyRequest } from 'fastify'
import { answer } from '../answer.js'
import { SECRET } from '../settings.js'
import { portOf } from './port.js'

const verify = createVerifier({ key: SECRET })
const app = Fastify()
await app.register(fastifyWebsocket)
app.get(
  '/',
  { websocket: true, onRequest: async ({ query }: FastifyRequest) => void verify(Reflect.get(Object(query), 'token')) },
  () => {}
)
await app.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
answer({ port: portOf(app.server) })
