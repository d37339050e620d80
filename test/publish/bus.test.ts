import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.js'
import { localBus } from '../../src/publish/bus.js'
import type { Hub } from '../../src/publish/hub.js'
import { RedisBus } from '../../src/publish/redis-bus.js'
import type { RedisClient } from '../../src/redis/client.js'
import { testBus } from '../fixtures/bus-contract.js'
import { needs } from '../fixtures/parts.js'
import { CLIENT_NAMES, openClient, openClusterClient } from '../fixtures/redis-clients.js'
import { startCluster } from '../fixtures/redis-cluster.js'
import { createLog, openLink } from '../fixtures/redis-links.js'
import { RedisServer } from '../fixtures/redis-server.js'

/** Each node with connections of its own, of a client that they share here. */
async function redisBuses(t: Test, client: RedisClient, hubs: readonly Hub[]): Promise<RedisBus[]> {
  return await Promise.all(
    hubs.map(async (hub) => {
      const { log } = createLog()
      const bus = new RedisBus(await openLink(t, client), { hub, clock: systemClock, log })
      t.teardown(() => bus.close())
      await bus.start()
      return bus
    })
  )
}

t.test('the local bus keeps the contract of buses', async (t) => {
  await testBus(t, 1, async (_t, hubs) => hubs.map((hub) => localBus((message) => hub.deliver(message))))
})

t.test('the bus on one Redis keeps the contract of buses', async (t) => {
  if (!needs(t, 'redis-server')) return
  const { port } = await RedisServer.start(t)
  for (const name of CLIENT_NAMES) {
    await t.test(name, async (t) => await testBus(t, 3, (t, hubs) => redisBuses(t, openClient(t, port, name), hubs)))
  }
})

t.test('the bus on a Redis Cluster keeps the contract of buses', async (t) => {
  if (!needs(t, 'redis-server')) return
  const [server] = await startCluster(t)
  for (const name of CLIENT_NAMES) {
    await t.test(name, async (t) => await testBus(t, 3, (t, hubs) => redisBuses(t, openClusterClient(t, server?.port ?? 0, name), hubs)))
  }
})
