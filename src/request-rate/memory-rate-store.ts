import type { FastifyRateLimitStore, FastifyRateLimitStoreCtor } from '@fastify/rate-limit'
import type { Clock } from '../clock.js'

const MAX_KEYS = 100_000

interface Window {
  current: number
  readonly startedAt: number
}

type Answer = Parameters<FastifyRateLimitStore['incr']>[1]

/**
 * Where @fastify/rate-limit counts, if the app has not registered it with a store of its own: in windows of a clock that
 * nobody sets, and for many more addresses than its own store remembers.
 */
export function monotonicRateStore(clock: Clock): FastifyRateLimitStoreCtor {
  class MonotonicRateStore implements FastifyRateLimitStore {
    /** Keys are forgotten a generation at a time: those that were not asked for since the last but one. */
    #young = new Map<string, Window>()
    #old = new Map<string, Window>()
    #bornAt = clock.now()

    incr(key: string, answer: Answer, timeWindow: number): void {
      const now = clock.now()
      this.#age(now, timeWindow)
      const known = this.#young.get(key) ?? this.#old.get(key)
      const window = known && now - known.startedAt < timeWindow ? known : { current: 0, startedAt: now }
      window.current++
      this.#young.set(key, window)
      answer(null, { current: window.current, ttl: Math.ceil(window.startedAt + timeWindow - now) })
    }

    child(): FastifyRateLimitStore {
      return new MonotonicRateStore()
    }

    #age(now: number, timeWindow: number): void {
      if (now - this.#bornAt < timeWindow && this.#young.size < MAX_KEYS) return
      this.#old = this.#young
      this.#young = new Map()
      this.#bornAt = now
    }
  }
  return MonotonicRateStore
}
