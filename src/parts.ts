import type { FastifyRateLimitStoreCtor } from '@fastify/rate-limit'
import type { FastifyBaseLogger } from 'fastify'
import { type CreateUserPlaces, localUserPlaces } from './capacity/places.js'
import { RedisPlaces } from './capacity/redis-places.js'
import type { Ticking } from './connection/registry.js'
import { type CreateSharedLimit, localSharedLimit } from './message/limit.js'
import { redisSharedLimits } from './message/redis-limit.js'
import type { Settings } from './options.js'
import { type Bus, localBus } from './publish/bus.js'
import type { Hub } from './publish/hub.js'
import { RedisBus } from './publish/redis-bus.js'
import type { RedisClient } from './redis/client.js'
import { RedisLink } from './redis/link.js'
import { monotonicRateStore } from './request-rate/memory-rate-store.js'
import { redisRateStore } from './request-rate/redis-rate-store.js'
import { MemoryTicketStore } from './ticket/memory-store.js'
import { RedisTicketStore } from './ticket/redis-store.js'
import type { TicketStore } from './ticket/store.js'

/** What nodes may share, and one node has by itself. */
export interface Parts {
  readonly store: TicketStore
  readonly bus: Bus
  readonly createUserPlaces: CreateUserPlaces
  readonly createSharedLimit: CreateSharedLimit
  readonly rateStore: FastifyRateLimitStoreCtor
  /** What has to be looked after now and then. */
  readonly ticking: readonly Ticking[]
  /** Makes ready what is not in this process. May refuse the start. */
  start(): Promise<void>
  close(): Promise<void>
}

/** What the parts are made for, and whom they tell. */
export interface PartsHost {
  readonly hub: Hub
  readonly log: FastifyBaseLogger
  /** Told the route of each ticket that expires unused, by a store that sees it. */
  readonly onExpired: (route: string) => void
}

/** The one place where concrete stores and buses are chosen. */
export function createParts(settings: Settings, host: PartsHost): Parts {
  return settings.redis ? redisParts(settings, settings.redis, host) : localParts(settings, host)
}

function localParts(settings: Settings, { hub, onExpired }: PartsHost): Parts {
  const store = settings.store ?? new MemoryTicketStore({ ...settings, onExpired })
  const bus = localBus((message) => hub.deliver(message))
  return {
    store,
    bus,
    createUserPlaces: localUserPlaces,
    createSharedLimit: localSharedLimit,
    rateStore: monotonicRateStore(settings.clock),
    ticking: [],
    start: async () => {},
    async close() {
      await Promise.all([store.close(), bus.close()])
    }
  }
}

function redisParts(settings: Settings, client: RedisClient, { hub, log }: PartsHost): Parts {
  const { clock, redisPrefix: prefix, redisTimeoutMs: timeoutMs } = settings
  const link = new RedisLink({ client, prefix, timeoutMs, clock, log })
  const store = settings.store ?? new RedisTicketStore(link, settings)
  const bus = new RedisBus(link, { hub, clock, log })
  const places = new RedisPlaces(link, { clock, log })
  return {
    store,
    bus,
    createUserPlaces: places.create,
    createSharedLimit: redisSharedLimits(link, { clock, log }),
    rateStore: redisRateStore(link),
    ticking: [places, bus],
    async start() {
      await link.start()
      await bus.start()
    },
    async close() {
      await Promise.all([store.close(), bus.close(), places.close()])
      link.close()
    }
  }
}
