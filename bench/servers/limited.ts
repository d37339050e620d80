/** An app with one message that is limited per user and one that is not. Its argument is the port of a Redis, if it has one. */
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import { defineContract, wsTicket } from '../../src/index.js'
import { answer } from '../answer.js'
import { ORIGIN, SECRET, WIDE } from '../settings.js'
import { text } from './contract.js'
import { portOf } from './port.js'

const [redisPort] = process.argv.slice(2)
const contract = defineContract({ messages: { echo: { payload: text, reply: text }, limited: { payload: text, reply: text } } })

const redis = redisPort === undefined ? undefined : new Redis({ host: '127.0.0.1', port: Number(redisPort) })
const app = Fastify()
await app.register(fastifyJwt, { secret: SECRET })
await app.register(wsTicket, { allowedOrigins: [ORIGIN], ...WIDE, ...(redis && { redis }) })
app.wsRoute('/bench', {
  contract,
  handlers: {
    echo: ({ text }) => ({ text }),
    limited: { rateLimit: { max: 1_000_000, timeWindow: 1000, per: 'user' }, handler: ({ text }) => ({ text }) }
  }
})
await app.listen({ port: 0, host: '127.0.0.1' })
answer({ port: portOf(app.server) })
