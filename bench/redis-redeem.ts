import { Redis } from 'ioredis'
import { systemClock } from '../src/clock.js'
import { hashText } from '../src/redis/keys.js'
import { RedisLink } from '../src/redis/link.js'
import { REDEEM } from '../src/ticket/redis-scripts.js'
import { RedisTicketStore } from '../src/ticket/redis-store.js'
import type { FindOutcome, TicketRecord } from '../src/ticket/store.js'
import { hashTicket } from '../src/ticket/ticket.js'
import { compare, type Part, type Table } from './compare.js'
import { MeasuredRedis } from './redis-server.js'
import { silentLog } from './silent-log.js'

const STORE = 'the ticket store: redeem'
const TICKETS = 20_000
const AT_A_TIME = 256
const ROUNDS = 7
const TTL_MS = 60_000
const LATER = 8_640_000_000_000_000
/** The keys that redis-benchmark takes at random, and what makes them tickets that are not used. */
const RANDOM_KEYS = 100_000
const MANY_RECORDS = `
for i = 0, ARGV[2] - 1 do
  local key = string.format('key:%012d', i)
  redis.call('DEL', key)
  redis.call('HSET', key, 'record', ARGV[1])
  redis.call('PEXPIRE', key, 600000)
end`

/** How many tickets a second a node redeems in Redis: alone, with the look before it, and against what Redis and a bare client do with the same script. */
export const redisRedeem: Part = {
  async measure(): Promise<Table[]> {
    const redis = await MeasuredRedis.start()
    const client = new Redis({ host: '127.0.0.1', port: redis.port, enableAutoPipelining: true })
    const link = new RedisLink({ client, prefix: 'bench', timeoutMs: 10_000, clock: systemClock, log: silentLog })
    await link.start()
    const store = new RedisTicketStore(link, { clock: systemClock, maxTicketsPerUser: 1000, redisReplicas: 0 })
    const tickets = new Tickets(store)
    try {
      const sha = await redis.cli('script', 'load', REDEEM.source)
      const results = await compare(
        [
          {
            name: 'a bare client, the same script, autopipelining',
            run: () => tickets.use((hash) => client.call('EVALSHA', [sha, 1, link.keys.of('ticket', hashText(hash)), 'connection', LATER]))
          },
          {
            name: 'redis-benchmark, the same script',
            async run() {
              await redis.cli('eval', MANY_RECORDS, '0', JSON.stringify(recordOf('ann')), String(RANDOM_KEYS))
              return await redis.benchmark(RANDOM_KEYS, AT_A_TIME, ['evalsha', sha, '1', 'key:__rand_int__', 'connection', String(LATER)])
            }
          },
          { name: STORE, run: () => tickets.use(async (hash) => isLive(await store.redeem(hash, 'connection'))) },
          {
            name: 'the ticket store: find and redeem, as an upgrade does',
            run: () =>
              tickets.use(async (hash) => {
                await store.find(hash)
                isLive(await store.redeem(hash, 'connection'))
              })
          }
        ],
        ROUNDS
      )
      return [
        { title: `Redemptions in Redis, ${AT_A_TIME} at a time`, unit: 'per second', results, targets: [{ name: STORE, atLeast: 0.8 }] }
      ]
    } finally {
      link.close()
      client.disconnect()
      await redis.stop()
    }
  }
}

/** Tickets, each good once. */
class Tickets {
  readonly #store: RedisTicketStore
  #made = 0

  constructor(store: RedisTicketStore) {
    this.#store = store
  }

  /** Issues tickets, which takes no part in what is measured, and uses each of them once; answers how many per second. */
  async use(use: (hash: string) => Promise<unknown>): Promise<number> {
    const hashes = this.#hashes()
    await eachOf(hashes, async (hash, index) => {
      const { outcome } = await this.#store.issue(hash, recordOf(`user ${this.#made - index}`), TTL_MS)
      if (outcome !== 'issued') throw new Error(`a ticket was not issued: ${outcome}`)
    })
    return await rateOf(hashes, use)
  }

  #hashes(): string[] {
    return Array.from({ length: TICKETS }, () => hashTicket(`ticket ${this.#made++}`))
  }
}

function isLive({ outcome }: FindOutcome): void {
  if (outcome !== 'live') throw new Error(`a ticket was not good: ${outcome}`)
}

async function rateOf(hashes: readonly string[], use: (hash: string) => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await eachOf(hashes, use)
  return (hashes.length / (performance.now() - start)) * 1000
}

/** Does something with each, so many at a time. */
async function eachOf(hashes: readonly string[], act: (hash: string, index: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < hashes.length) {
      const index = next++
      await act(hashes[index] ?? '', index)
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, worker))
}

function recordOf(userId: string): TicketRecord {
  return {
    user: { sub: userId, name: 'Ann', iat: 1_795_000_000, exp: 1_795_003_600 },
    userId,
    context: null,
    route: '/chat',
    path: '[]',
    origin: 'https://app.example.com',
    ip: null,
    refreshes: null,
    authenticatedUntil: 1_795_003_600_000
  }
}
