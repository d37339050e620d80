import t from 'tap'
import type { ClusterConnection } from '../../src/redis/client.js'
import { SlotRefresh } from '../../src/redis/slot-refresh.js'
import { ManualClock } from '../fixtures/manual-clock.js'

const REST_MS = 250

/** Refreshes of a Cluster that answers when the test says so. */
function createRefresh() {
  const clock = new ManualClock()
  const asked: (() => void)[] = []
  let refreshed = 0
  const cluster: ClusterConnection = {
    status: 'ready',
    slots: [],
    nodes: () => [],
    refreshSlotsCache: (done) => void asked.push(done),
    call: async () => null,
    connect: async () => {},
    disconnect() {},
    on() {},
    off() {}
  }
  const refresh = new SlotRefresh(cluster, clock, () => refreshed++)
  return { clock, asked, refresh, answer: () => asked[asked.length - 1]?.(), count: () => ({ asked: asked.length, refreshed }) }
}

t.test('slots are asked for at once, but not all the time', async (t) => {
  const { clock, refresh, answer, count } = createRefresh()
  refresh.request()
  t.same(count(), { asked: 1, refreshed: 0 })
  answer()
  t.same(count(), { asked: 1, refreshed: 1 })
  clock.advance(REST_MS)
  t.equal(clock.timers, 0)
  refresh.request()
  t.same(count(), { asked: 2, refreshed: 1 })
  for (let i = 0; i < 10; i++) refresh.request()
  answer()
  for (let i = 0; i < 10; i++) refresh.request()
  clock.advance(REST_MS - 1)
  t.same(count(), { asked: 2, refreshed: 2 })
  clock.advance(1)
  t.same(count(), { asked: 3, refreshed: 2 }, 'who asked meanwhile is not forgotten')
  answer()
  clock.advance(REST_MS)
  t.same(count(), { asked: 3, refreshed: 3 })
  t.equal(clock.timers, 0)
})

t.test('closed, it asks no more', async (t) => {
  const asking = createRefresh()
  asking.refresh.request()
  asking.refresh.close()
  asking.answer()
  t.same(asking.count(), { asked: 1, refreshed: 0 })
  t.equal(asking.clock.timers, 0)
  const resting = createRefresh()
  resting.refresh.request()
  resting.answer()
  resting.refresh.request()
  resting.refresh.close()
  t.equal(resting.clock.timers, 0)
  resting.refresh.request()
  t.same(resting.count(), { asked: 1, refreshed: 1 })
})
