import type { FastifyRateLimitStore, FastifyRateLimitStoreCtor } from '@fastify/rate-limit'
import { hashText } from '../redis/keys.js'
import type { RedisLink } from '../redis/link.js'
import { script } from '../redis/script.js'

/**
 * KEYS a counter, ARGV how long its window is. Answers the count and how long the window lasts, by the server's clock; a window
 * that lasts longer than it may, since that clock was set back, is shortened.
 */
const COUNT = script(`
local current = redis.call('INCR', KEYS[1])
local ttl = redis.call('PTTL', KEYS[1])
if ttl < 0 or ttl > tonumber(ARGV[1]) then
  ttl = tonumber(ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return { current, ttl }
`)

type Answer = Parameters<FastifyRateLimitStore['incr']>[1]

/**
 * Where @fastify/rate-limit counts on all nodes together, in fixed windows. It hands a failure on; our own limits then answer
 * FST_WS_TICKET_UNAVAILABLE.
 */
export function redisRateStore(link: RedisLink): FastifyRateLimitStoreCtor {
  class RedisRateStore implements FastifyRateLimitStore {
    /** Whose counters these are. Limits without a route are told apart by their keys. */
    readonly #route: string

    /** @param options of a limit; those of a route's own limit name the route */
    constructor(options: object) {
      const { method, url } = Object(Reflect.get(options, 'routeInfo'))
      this.#route = `${method} ${url}`
    }

    incr(key: string, answer: Answer, timeWindow: number): void {
      const counter = link.keys.of('rate', hashText(this.#route, key))
      link.commands.run(COUNT, counter, [timeWindow]).then((counted) => {
        const [current, ttl] = Object.values(Object(counted))
        answer(null, { current: Number(current), ttl: Number(ttl) })
      }, answer)
    }

    child(options: object): FastifyRateLimitStore {
      return new RedisRateStore(options)
    }
  }
  return RedisRateStore
}
