import t from 'tap'
import { ConnectionLimits } from '../../src/upgrade/connection-limits.js'

t.test('E6 a place is given back once, however often it is released', async (t) => {
  const limits = new ConnectionLimits({ total: 2, perIp: 2, perUser: 2 })
  for (const take of [() => limits.takeTotal(), () => limits.takeIp('ip'), () => limits.takeUser('ann')]) {
    const first = take()
    const second = take()
    t.throws(take, { message: /as many connections|The server has/ })
    first()
    first()
    take()
    t.throws(take)
    second()
  }
  t.same(ConnectionLimits.countKeys([limits]), { ips: 1, users: 1 })
})

t.test('E6 a route with the same cap counts with the others, with its own by itself', async (t) => {
  const shared = new ConnectionLimits({ total: 1, perIp: 1, perUser: 1 })
  const same = new ConnectionLimits({ total: 1, perIp: 1, perUser: 1 }, shared)
  const own = new ConnectionLimits({ total: 2, perIp: 2, perUser: 2 }, shared)
  shared.takeTotal()
  const release = shared.takeUser('ann')
  t.throws(() => same.takeTotal(), { code: 'FST_WS_TICKET_SERVER_FULL', statusCode: 503 })
  t.throws(() => same.takeUser('ann'), { code: 'FST_WS_TICKET_USER_CONNECTION_LIMIT', statusCode: 429 })
  own.takeTotal()
  own.takeUser('ann')
  release()
  same.takeUser('ann')
})

t.test('E6 who asks for a ticket is told that there is no room', async (t) => {
  const full = (caps: Partial<Record<'total' | 'perIp' | 'perUser', number>>) => {
    const limits = new ConnectionLimits({ total: 2, perIp: 2, perUser: 2, ...caps })
    limits.takeTotal()
    limits.takeIp('ip')
    limits.takeUser('ann')
    return () => limits.checkRoom('ip', 'ann')
  }
  t.throws(full({ total: 1 }), { code: 'FST_WS_TICKET_SERVER_FULL', statusCode: 503 })
  t.throws(full({ perIp: 1 }), { code: 'FST_WS_TICKET_IP_CONNECTED', statusCode: 429 })
  t.throws(full({ perUser: 1 }), { code: 'FST_WS_TICKET_USER_CONNECTED', statusCode: 409 })
  t.doesNotThrow(full({}))
})
