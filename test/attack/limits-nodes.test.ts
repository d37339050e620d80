import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Client } from '../fixtures/client.js'
import { type RedisNode, startNode, WIDE } from '../fixtures/redis-node.js'
import { RedisServer } from '../fixtures/redis-server.js'

const HOUR_MS = 3_600_000
const MAX = 5
/** Nothing comes back while an attack is tried. */
const limit = { max: MAX, timeWindow: MAX * HOUR_MS }
const limited = { type: '$error', payload: { code: 'FST_WS_TICKET_RATE_LIMITED', statusCode: 429 } }

/** Three nodes in processes of their own that share a Redis. */
const server = await RedisServer.start(t)
const issuePerUser = { max: 30, timeWindow: 60_000 }
const nodes = await Promise.all(
  [1, 2, 3].map(() => startNode(t, { redisPort: server.port, plugin: { ...WIDE, issuePerUser, redisTimeout: 20_000 }, limit }))
)

/** Messages that are charged, of all users and addresses. A node charges what it has let pass afterwards. */
async function charged(): Promise<number> {
  const keys = (await server.cli('keys', '*:limit:*')).split('\n').filter((key) => key !== '')
  const all = await Promise.all(keys.map((key) => server.cli('hget', key, 'fullIn')))
  return all.reduce((sum, fullIn) => sum + Math.round(Number(fullIn) / HOUR_MS), 0)
}

async function untilCharged(count: number): Promise<void> {
  while ((await charged()) < count) await delay(10)
}

async function passed(client: Client, type: string, messages: number): Promise<number> {
  for (let id = 0; id < messages; id++) client.send({ type, id, payload: {} })
  let count = 0
  for (let id = 0; id < messages; id++) if ((await client.next()).type === '$reply') count++
  return count
}

async function enter(t: Test, node: RedisNode | undefined, sub?: string, from?: string): Promise<Client> {
  const client = await node?.connect(t, sub, from)
  if (!client) throw new Error('there is no such node')
  await client.next()
  return client
}

t.test("H1 reconnecting to other nodes does not refill the user's bucket", async (t) => {
  const before = await charged()
  const first = await enter(t, nodes[0])
  t.equal(await passed(first, 'perUser', MAX), MAX)
  first.socket.terminate()
  await untilCharged(before + MAX)
  for (const node of [...nodes, ...nodes]) {
    const client = await enter(t, node)
    // sent at once, before the node could have asked anybody
    client.send({ type: 'perUser', id: 1, payload: {} })
    client.send({ type: 'perUser', id: 2, payload: {} })
    t.match([await client.next(), await client.next()], [limited, limited])
    client.socket.terminate()
  }
  t.match(await (await enter(t, nodes[1], 'bob')).request('perUser', {}), { type: '$reply' }, 'another user has a bucket of its own')
})

t.test('H2 many users at one address share its bucket on all nodes', async (t) => {
  const before = await charged()
  const from = '127.0.0.9'
  t.equal(await passed(await enter(t, nodes[0], 'user 1', from), 'perIp', 2), 2)
  await untilCharged(before + 2)
  t.equal(await passed(await enter(t, nodes[1], 'user 2', from), 'perIp', 9), 3)
  await untilCharged(before + MAX)
  for (const node of nodes) t.match(await (await enter(t, node, 'user 3', from)).request('perIp', {}), limited)
  t.match(await (await enter(t, nodes[2], 'user 3', '127.0.0.10')).request('perIp', {}), { type: '$reply' }, 'from elsewhere')
})

t.test('H1 a user who floods three nodes at once gets a burst of each at most, and pays all of it back', async (t) => {
  const before = await charged()
  const clients = await Promise.all(nodes.map((node) => enter(t, node, 'eve')))
  const counts = await Promise.all(clients.map((client) => passed(client, 'perUser', 30)))
  const total = counts.reduce((sum, count) => sum + count, 0)
  t.ok(total >= MAX && total <= nodes.length * MAX, `${counts.join(' + ')} messages passed`)
  await untilCharged(before + total)
  for (const node of nodes) {
    const client = await enter(t, node, 'eve')
    const { payload } = await client.request('perUser', {})
    const retryAfter = Number(Reflect.get(Object(payload), 'retryAfter'))
    const owed = (total - MAX + 1) * HOUR_MS
    t.ok(retryAfter > owed - 60_000 && retryAfter <= owed, `it waits for ${total - MAX + 1} of them`)
  }
})

t.test('H1 tickets are limited on all nodes together', async (t) => {
  const counts = await Promise.all(
    nodes.map(async (node) => {
      const answers = await Promise.all(Array.from({ length: issuePerUser.max / 2 }, () => node.askTicket(t, 'carl')))
      return answers.filter(({ status }) => status === 201).length
    })
  )
  t.equal(
    counts.reduce((sum, count) => sum + count, 0),
    issuePerUser.max
  )
  t.equal((await nodes[2]?.askTicket(t, 'dave'))?.status, 201)
})
