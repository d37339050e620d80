import t from 'tap'
import { BusEncoder } from '../../src/publish/bus-message.js'
import { DisconnectLog } from '../../src/publish/disconnect-log.js'
import type { Hub } from '../../src/publish/hub.js'
import { needs } from '../fixtures/parts.js'
import { openTwo } from '../fixtures/redis-bus-nodes.js'
import { openClient } from '../fixtures/redis-clients.js'
import { openLink } from '../fixtures/redis-links.js'
import { RedisServer } from '../fixtures/redis-server.js'
import { until } from '../fixtures/until.js'

const CHECK_MS = 5000
const LOG = 'test:disconnects'
const disconnect = { kind: 'disconnect', route: null, code: 4403, reason: 'rights withdrawn' } as const

/** Counts what a hub is told to deliver. */
function countDeliveries(hub: Hub): () => number {
  const deliver = hub.deliver.bind(hub)
  let count = 0
  hub.deliver = (message) => {
    count++
    return deliver(message)
  }
  return () => count
}

if (needs(t, 'redis-server')) {
  t.test('G9 a node that was cut off does what it has missed as soon as it is back', async (t) => {
    const server = await RedisServer.start(t)
    const [clock, one, two] = await openTwo(t, server.port)
    two.link.subscriber.disconnect()
    two.link.connection.disconnect()
    t.equal(one.bus.disconnect({ ...disconnect, target: { user: 'ann' } }).disconnected, 1)
    await server.until(/^1$/, 'xlen', LOG)
    clock.advance(CHECK_MS)
    two.redisBus.tick(clock.now())
    t.equal(two.ann.client.socket.readyState, two.ann.client.socket.OPEN, 'it can not know')
    await two.link.connection.connect()
    clock.advance(CHECK_MS)
    two.redisBus.tick(clock.now())
    t.match(await two.ann.client.closed, { code: 4403, reason: 'rights withdrawn' })
    t.equal(two.own.client.socket.readyState, two.own.client.socket.OPEN, 'nobody else')
  })

  t.test('what was published is not done again when the log is read', async (t) => {
    const server = await RedisServer.start(t)
    const [clock, one, two] = await openTwo(t, server.port)
    // the start tries out what it may do
    await server.cli('config', 'resetstat')
    const [countOfOne, countOfTwo] = [countDeliveries(one.hub), countDeliveries(two.hub)]
    one.bus.disconnect({ ...disconnect, target: { user: 'ann' } })
    await two.ann.client.closed
    for (let round = 0; round < 4; round++) {
      clock.advance(CHECK_MS)
      for (const { redisBus } of [one, two]) redisBus.tick(clock.now())
      await until(async () => (await server.cli('info', 'commandstats')).includes(`cmdstat_xrange:calls=${2 * (round + 1)}`))
    }
    t.equal(countOfOne(), 1)
    t.equal(countOfTwo(), 1)
  })

  t.test('I9 what stands in the log and is no disconnect is ignored, and logged', async (t) => {
    const server = await RedisServer.start(t)
    const [clock, , two] = await openTwo(t, server.port)
    const count = countDeliveries(two.hub)
    const frame = two.events.encode('news', { text: 'forged' })
    const encoder = new BusEncoder('a node')
    const texts = [
      'garbage',
      encoder.encode({ kind: 'send', route: '/echo', target: { all: true }, frame }),
      encoder.encode({ ...disconnect, code: 1005, target: { all: true } })
    ]
    for (const text of texts) await server.cli('xadd', LOG, '*', 'text', text)
    await server.cli('xadd', LOG, '*', 'other', 'x', 'more', 'y')
    clock.advance(CHECK_MS)
    two.redisBus.tick(clock.now())
    await until(() => two.lines.length > 0)
    clock.advance(60_000)
    two.redisBus.tick(clock.now())
    t.match(two.lines, [{ ignored: 1 }, { ignored: 3 }])
    t.equal(count(), 0)
    t.equal(two.own.client.unread, 0)
  })

  t.test('all that was added is read once, however much it is, and goes after an hour', async (t) => {
    const server = await RedisServer.start(t)
    const client = openClient(t, server.port)
    const [writer, reader] = [new DisconnectLog(await openLink(t, client)), new DisconnectLog(await openLink(t, client))]
    await writer.add('before')
    t.same(await reader.read(), [], 'what is older than the reader does not concern it')
    const texts = Array.from({ length: 2500 }, (_, i) => `${i}`)
    for (const text of texts) void writer.add(text)
    await server.until(/^2501$/, 'xlen', LOG)
    t.same(await reader.read(), texts)
    t.same(await reader.read(), [])
    const ms = Number(await server.cli('pttl', LOG))
    t.ok(ms > 3_500_000 && ms <= 3_600_000, `it lives for ${ms} ms more`)
  })
}
