import t from 'tap'
import { ConnectionLimits } from '../../src/capacity/connection-limits.js'

t.test('E6 a place is given back once, however often it is released', async (t) => {
  const limits = ConnectionLimits.ofPlugin({ total: 2, perIp: 2, perUser: 2 })
  for (const take of [() => limits.takeTotal(), () => limits.takeIp('ip'), () => limits.takeUser('ann')]) {
    const first = await take()
    const second = await take()
    await t.rejects(async () => take(), { message: /as many connections|The server has/ })
    first()
    first()
    await take()
    await t.rejects(async () => take())
    second()
  }
  t.same(ConnectionLimits.countKeys([limits]), { ips: 1, users: 1 })
})

t.test('E6 a route with the same cap counts with the others, with its own by itself', async (t) => {
  const shared = ConnectionLimits.ofPlugin({ total: 1, perIp: 1, perUser: 1 })
  const same = shared.ofRoute({ total: 1, perIp: 1, perUser: 1 }, '/same')
  const own = shared.ofRoute({ total: 2, perIp: 2, perUser: 2 }, '/own')
  shared.takeTotal()
  const release = await shared.takeUser('ann')
  t.throws(() => same.takeTotal(), { code: 'FST_WS_TICKET_SERVER_FULL', statusCode: 503 })
  await t.rejects(() => same.takeUser('ann'), { code: 'FST_WS_TICKET_USER_CONNECTION_LIMIT', statusCode: 429 })
  own.takeTotal()
  await own.takeUser('ann')
  release()
  await same.takeUser('ann')
})

t.test('E6 who asks for a ticket is told that there is no room', async (t) => {
  const full = async (caps: Partial<Record<'total' | 'perIp' | 'perUser', number>>) => {
    const limits = ConnectionLimits.ofPlugin({ total: 2, perIp: 2, perUser: 2, ...caps })
    limits.takeTotal()
    limits.takeIp('ip')
    await limits.takeUser('ann')
    return await limits.checkRoom('ip', 'ann')
  }
  await t.rejects(full({ total: 1 }), { code: 'FST_WS_TICKET_SERVER_FULL', statusCode: 503 })
  await t.rejects(full({ perIp: 1 }), { code: 'FST_WS_TICKET_IP_CONNECTED', statusCode: 429 })
  await t.rejects(full({ perUser: 1 }), { code: 'FST_WS_TICKET_USER_CONNECTED', statusCode: 409 })
  await t.resolves(full({}))
})
