import t from 'tap'
import { monotonicRateStore } from '../../src/request-rate/memory-rate-store.js'
import { ManualClock } from '../fixtures/manual-clock.js'

const WINDOW_MS = 60_000

function build() {
  const clock = new ManualClock()
  const Store = monotonicRateStore(clock)
  const store = new Store({})
  const ask = (key: string) => {
    let answer: { current: number; ttl: number } | undefined
    store.incr(
      key,
      (_error, result) => {
        answer = result
      },
      WINDOW_MS,
      1
    )
    return answer
  }
  return { clock, store, ask }
}

t.test('each key is counted in windows of its own', async (t) => {
  const { clock, ask } = build()
  t.same(ask('ann'), { current: 1, ttl: WINDOW_MS })
  clock.advance(20_000)
  t.same(ask('ann'), { current: 2, ttl: 40_000 })
  t.same(ask('bob'), { current: 1, ttl: WINDOW_MS })
  clock.advance(39_999)
  t.same(ask('ann'), { current: 3, ttl: 1 })
  clock.advance(1)
  t.same(ask('ann'), { current: 1, ttl: WINDOW_MS }, 'the window is over')
  t.same(ask('bob'), { current: 2, ttl: 20_000 }, 'the other is not')
})

t.test('H9 setting the clock on the wall refills nothing', async (t) => {
  const { clock, ask } = build()
  ask('ann')
  for (const ms of [clock.wall() + 86_400_000, 0]) {
    clock.setWall(ms)
    t.match(ask('ann'), { ttl: WINDOW_MS })
  }
  t.match(ask('ann'), { current: 4 })
})

t.test('a flood of keys is forgotten by and by, a key that is asked for is not', async (t) => {
  const { ask } = build()
  ask('ann')
  for (let i = 0; i < 250_000; i++) {
    ask(`flood ${i}`)
    if (i % 50_000 === 0) ask('ann')
  }
  t.match(ask('ann'), { current: 7 })
  t.match(ask('flood 0'), { current: 1 }, 'this one is')
})

t.test('what is counted for one limit is not counted for another', async (t) => {
  const { store, ask } = build()
  ask('ann')
  let current: number | undefined
  const route = { path: '', prefix: '', method: 'GET', url: '', handler: () => {} } as const
  store.child(route).incr(
    'ann',
    (_error, result) => {
      current = result?.current
    },
    WINDOW_MS,
    1
  )
  t.equal(current, 1)
})
