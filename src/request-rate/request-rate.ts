import { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { fail } from '../errors.js'
import { logFailure } from '../log-failure.js'
import type { RateSettings } from '../options.js'
import { hashText } from '../redis/keys.js'

/** Refuses a request that is over the limit. */
export type RequestRate = (request: FastifyRequest) => Promise<void>

/** The client's address as limits count it: IPv6 as its /64, mapped IPv4 as IPv4. */
export function ipKeyOf(request: FastifyRequest): string {
  const known = ipKeys.get(request)
  if (known !== undefined) return known
  // a request whose socket is gone already has no address
  const ipKey = normalizeIP(String(request.ip))
  ipKeys.set(request, ipKey)
  return ipKey
}

/** It is asked for several times, and takes long for IPv6. */
const ipKeys = new WeakMap<FastifyRequest, string>()

/**
 * A limit on HTTP requests, kept by @fastify/rate-limit in the store that the app gave it.
 *
 * @param name tells the keys of this limit from those of others, since a shared store keeps them all in one place; what is counted
 *   by stands in them as a hash only
 * @returns what throws FST_WS_TICKET_TOO_MANY_REQUESTS with `Retry-After`, or FST_WS_TICKET_UNAVAILABLE when the store fails
 */
export function requestRate(
  app: FastifyInstance,
  name: string,
  rate: RateSettings,
  keyOf: (request: FastifyRequest) => string
): RequestRate {
  const check = app.createRateLimit({
    max: rate.max,
    timeWindow: rate.timeWindowMs,
    keyGenerator: (request) => `${name}:${hashText(keyOf(request))}`
  })
  return async (request) => {
    const result = await check(request).catch((error: unknown) => {
      logFailure(request.log, error, 'the rate limit could not be checked')
      throw fail('UNAVAILABLE', [], { retryAfterMs: 1000, cause: error })
    })
    if (result.isAllowed || !result.isExceeded) return
    throw fail('TOO_MANY_REQUESTS', [], { retryAfterMs: result.ttl })
  }
}
