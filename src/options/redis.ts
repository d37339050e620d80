import Type, { type Static } from 'typebox'
import { fail } from '../errors.js'
import { duration, secretSuchThat, suchThat, toMs, whole } from '../option-schema.js'
import { isRedisClient, type RedisClient } from '../redis/client.js'
import { MINUTE } from './times.js'

export const redisFields = {
  /** Shares tickets, limits per user and address, connections per user, publish and disconnect among all nodes. */
  redis: Type.Optional(secretSuchThat<RedisClient>(isRedisClient, 'a client of ioredis 5 or 6, or of iovalkey')),
  /** What all keys and channels in Redis begin with. Apps that share a Redis need different ones. */
  redisPrefix: suchThat<string>(isRedisPrefix, 'a text of 1 to 64 letters, digits and . _ : / -', 'fastify-ws-ticket'),
  /** How long Redis may take to answer. */
  redisTimeout: duration(10, MINUTE, 500),
  /** Replicas that must have got a redemption before it lets anybody in. Not with a Cluster. */
  redisReplicas: whole(0, 10, 0)
}

/** Nothing that would be a pattern or a hash tag to Redis. */
function isRedisPrefix(value: unknown): boolean {
  return typeof value === 'string' && /^[\w.:/-]{1,64}$/.test(value)
}

/** What several nodes share. */
export interface RedisSettings {
  readonly redis: RedisClient | undefined
  readonly redisPrefix: string
  readonly redisTimeoutMs: number
  readonly redisReplicas: number
}

/** @throws FST_WS_TICKET_INVALID_OPTION */
export function redisSettings(given: Static<Type.TObject<typeof redisFields>>): RedisSettings {
  if (given.redisReplicas > 0 && given.redis?.isCluster) {
    throw fail('INVALID_OPTION', [
      `'redisReplicas' is ${given.redisReplicas}; allowed: 0 with a Cluster, where min-replicas-to-write does it.`
    ])
  }
  return {
    redis: given.redis,
    redisPrefix: given.redisPrefix,
    redisTimeoutMs: toMs(given.redisTimeout),
    redisReplicas: given.redisReplicas
  }
}
