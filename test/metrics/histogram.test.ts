import t from 'tap'
import { BUCKETS_S, Histogram } from '../../src/metrics/histogram.js'

t.test('a duration counts in the bucket of the least bound that is not below it, and in all above', async (t) => {
  const histogram = new Histogram()
  t.same(histogram.snapshot(), { count: 0, sum: 0, buckets: BUCKETS_S.map((le) => ({ le, count: 0 })) })
  for (const ms of [0, 0.5, 0.6, 1, 5000, 30_000, 30_001]) histogram.observe(ms)
  const { count, sum, buckets } = histogram.snapshot()
  t.equal(count, 7, 'what is longer than all bounds counts too')
  t.ok(Math.abs(sum - 65.0031) < 1e-9)
  const countOf = (le: number) => buckets.find((bucket) => bucket.le === le)?.count
  t.same([0.0005, 0.001, 2.5, 5, 10, 30].map(countOf), [2, 4, 4, 5, 5, 6])
})

t.test('the bounds rise, from less than a millisecond to beyond the longest deadline of a handler by default', async (t) => {
  t.same(
    BUCKETS_S,
    [...BUCKETS_S].sort((a, b) => a - b)
  )
  t.ok((BUCKETS_S[0] ?? 1) < 0.001)
  t.ok((BUCKETS_S.at(-1) ?? 0) > 10)
})
