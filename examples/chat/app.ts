import fastifyRateLimit from '@fastify/rate-limit'
import Fastify, { type FastifyInstance } from 'fastify'
import { wsTicket } from 'fastify-ws-ticket'
import { ownOrigins } from './address.js'
import { registerAsyncapi } from './asyncapi.js'
import { registerAuth } from './auth.js'
import { declareChat } from './chat.js'
import type { Config } from './config.js'
import { declareMessages } from './messages.js'
import { registerOpenapi } from './openapi.js'
import { registerPage } from './page.js'
import { connectRedis } from './redis.js'
import { RedisRooms } from './redis-rooms.js'
import { LocalRooms } from './rooms.js'
import { registerSecurityHeaders } from './security-headers.js'
import { declareSessions } from './sessions.js'

/** The chat, ready to listen. */
export async function buildChat(config: Config): Promise<FastifyInstance> {
  const origins = [...(config.allowedOrigins ?? ownOrigins(config))]
  const [home = ''] = origins
  const app: FastifyInstance = Fastify({
    ...(config.tls && { https: config.tls }),
    // standard output is for the address only
    logger: { level: 'warn', stream: process.stderr },
    trustProxy: [...config.trustProxy],
    bodyLimit: 16_384,
    // refuse what does not match, instead of changing it until it does
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } }
  })

  await registerSecurityHeaders(app, { origins, isTls: config.tls !== undefined })
  await registerOpenapi(app, home)
  await registerAuth(app, config.jwtSecret)
  const redis = config.redisUrl === undefined ? undefined : connectRedis(app, config.redisUrl)
  // without Redis, REST is not limited for want of it; tickets and upgrades have limits of their own
  await app.register(fastifyRateLimit, { global: false, ...(redis && { redis, nameSpace: 'chat:rate:' }) })
  await app.register(wsTicket, { allowedOrigins: origins, ...(redis && { redis }) })

  const rooms = redis ? new RedisRooms(redis, app.log) : new LocalRooms()
  app.addHook('preClose', () => rooms.close())
  const chat = declareChat(app, rooms, home)
  declareSessions(app)
  declareMessages(app, chat)
  await registerPage(app)
  registerAsyncapi(app, home)
  return app
}
