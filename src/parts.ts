import type { FastifyRateLimitStoreCtor } from '@fastify/rate-limit'
import type { FastifyBaseLogger } from 'fastify'
import type { Ticking } from './connection/registry.js'
import { type CreateSharedLimit, localSharedLimit } from './message/limit.js'
import type { Settings } from './options.js'
import { type Bus, localBus } from './publish/bus.js'
import type { Hub } from './publish/hub.js'
import { monotonicRateStore } from './request-rate/memory-rate-store.js'
import { MemoryTicketStore } from './ticket/memory-store.js'
import type { TicketStore } from './ticket/store.js'
import { type CreateUserPlaces, localUserPlaces } from './upgrade/places.js'

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

/** The one place where concrete stores and buses are chosen. */
export function createParts(settings: Settings, hub: Hub, log: FastifyBaseLogger): Parts {
  return localParts(settings, hub)
}

function localParts(settings: Settings, hub: Hub): Parts {
  const store = settings.store ?? new MemoryTicketStore(settings)
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
