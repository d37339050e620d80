import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'

/** A client of the Redis that several processes share; it ends with the app. What it is asked is answered soon or not at all. */
export function connectRedis(app: FastifyInstance, url: string): Redis {
  const redis = new Redis(url, { commandTimeout: 500, maxRetriesPerRequest: 1, enableOfflineQueue: false, lazyConnect: true })
  // fastify-ws-ticket tells the log when Redis goes and comes
  redis.on('error', () => {})
  redis.connect().catch(() => {})
  app.addHook('onClose', async () => redis.disconnect())
  return redis
}
