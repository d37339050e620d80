import fc from 'fast-check'
import t from 'tap'
import { ConnectionLimit, Gcra, type LimitedConnection, type MessageLimit, SharedLimit } from '../../src/message/limit.js'

const rate = { max: 2, timeWindowMs: 1000, burst: 3 }

function connectionOf(userId = 'ann', ipKey = '192.0.2.1'): LimitedConnection {
  return { userId, ipKey, buckets: [] }
}

/** How many of that many messages pass at one time. */
function passed(limit: MessageLimit, connection: LimitedConnection, now: number, messages: number): number {
  return Array.from({ length: messages }, () => limit.take(connection, now)).filter((wait) => wait === 0).length
}

t.test('the rule gives a burst at once and then one for each interval', async (t) => {
  const rule = new Gcra(rate)
  let fullAt = 0
  for (const _ of [1, 2, 3]) {
    t.equal(rule.wait(fullAt, 10_000), 0)
    fullAt = rule.next(fullAt, 10_000)
  }
  t.equal(rule.wait(fullAt, 10_000), 500)
  t.equal(rule.wait(fullAt, 10_499.25), 1, 'a part of a millisecond is a whole one')
  t.equal(rule.wait(fullAt, 10_500), 0)
})

t.test('times that no number holds exactly cost nobody a message, and give nobody one more', async (t) => {
  const rates = fc.record({
    max: fc.integer({ min: 1, max: 1000 }),
    timeWindowMs: fc.integer({ min: 1000, max: 3_600_000 }),
    burst: fc.integer({ min: 1, max: 1000 })
  })
  // what has passed since a machine was started, and since 1970
  const times = fc.oneof(fc.double({ min: 0, max: 1e9, noNaN: true }), fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 }))
  fc.assert(
    fc.property(rates, times, (rate, now) => {
      const limit = new ConnectionLimit(rate, 0)
      const connection = connectionOf()
      t.equal(passed(limit, connection, now, rate.burst + 2), rate.burst)
      const wait = limit.take(connection, now)
      t.ok(wait >= 1 && wait <= Math.ceil(rate.timeWindowMs / rate.max), String(wait))
      t.equal(limit.take(connection, now + wait), 0, 'the wait that was told is enough')
    })
  )
})

t.test('a pause fills the bucket to its burst and no further', async (t) => {
  const limit = new ConnectionLimit(rate, 0)
  const connection = connectionOf()
  t.equal(passed(limit, connection, 0, 9), 3)
  t.equal(passed(limit, connection, 500, 9), 1)
  t.equal(passed(limit, connection, 1000, 9), 1)
  t.equal(passed(limit, connection, 1_000_000, 9), 3)
})

t.test('what is refused takes nothing out of the bucket', async (t) => {
  const limit = new ConnectionLimit(rate, 0)
  const connection = connectionOf()
  passed(limit, connection, 0, 1000)
  t.equal(limit.take(connection, 499), 1)
  t.equal(limit.take(connection, 500), 0)
})

t.test('connection limits count each connection by itself, and each limit by its own index', async (t) => {
  const [first, second] = [new ConnectionLimit(rate, 0), new ConnectionLimit(rate, 1)]
  const [ann, other] = [connectionOf(), connectionOf()]
  t.equal(passed(first, ann, 0, 9), 3)
  t.equal(passed(second, ann, 0, 9), 3)
  t.equal(passed(first, other, 0, 9), 3)
  t.equal(ann.buckets.length, 2)
})

t.test('H1 the bucket of a user outlives connections', async (t) => {
  const limit = new SharedLimit(rate, 'user')
  t.equal(passed(limit, connectionOf('ann', '192.0.2.1'), 0, 9), 3)
  t.equal(passed(limit, connectionOf('ann', '192.0.2.2'), 0, 9), 0)
  t.equal(passed(limit, connectionOf('bob', '192.0.2.1'), 0, 9), 3)
})

t.test('H2 the bucket of an address is shared by its users', async (t) => {
  const limit = new SharedLimit(rate, 'ip')
  t.equal(passed(limit, connectionOf('ann', '192.0.2.1'), 0, 9), 3)
  t.equal(passed(limit, connectionOf('bob', '192.0.2.1'), 0, 9), 0)
  t.equal(passed(limit, connectionOf('ann', '192.0.2.2'), 0, 9), 3)
})

t.test('H1 a user named like a property of objects has a bucket of its own', async (t) => {
  const limit = new SharedLimit(rate, 'user')
  for (const name of ['__proto__', 'constructor', 'toString']) t.equal(passed(limit, connectionOf(name), 0, 9), 3, name)
})

t.test('buckets are forgotten when they are full again and not before', async (t) => {
  const limit = new SharedLimit(rate, 'user')
  limit.sweep(0)
  limit.take(connectionOf('ann'), 9_400)
  limit.take(connectionOf('bob'), 9_600)
  t.equal(limit.size, 2)
  limit.sweep(9_999)
  t.equal(limit.size, 2, 'it sweeps every ten seconds')
  limit.sweep(10_000)
  t.equal(limit.size, 1)
  t.equal(passed(limit, connectionOf('bob'), 10_000, 9), 2, 'the other one has kept its count')
  limit.sweep(30_000)
  t.equal(limit.size, 0)
})
