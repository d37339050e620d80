import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type RedisNode, startNode, WIDE } from '../fixtures/redis-node.js'
import { RedisServer } from '../fixtures/redis-server.js'

const MAX = 3
const full = { status: 409, body: { code: 'FST_WS_TICKET_USER_CONNECTED' } }

/** Nodes in processes of their own that share a Redis. */
const server = await RedisServer.start(t)
const start = () => startNode(t, { redisPort: server.port, plugin: { ...WIDE, maxConnectionsPerUser: MAX, redisTimeout: 20_000 } })
const nodes = await Promise.all([start(), start(), start(), start()])
const [one, two, three, four] = nodes

async function keysOfUsers(): Promise<string[]> {
  return (await server.cli('keys', '*:connections:*')).split('\n').filter((key) => key !== '')
}

/** How many connections there are on all nodes, as Redis knows. */
async function counted(): Promise<number> {
  const numbers = await Promise.all((await keysOfUsers()).map((key) => server.cli('hvals', key)))
  return numbers.flatMap((text) => text.split('\n')).reduce((sum, number) => sum + Number(number), 0)
}

async function untilCounted(count: number): Promise<void> {
  while ((await counted().catch(() => undefined)) !== count) await delay(20)
}

async function enter(t: Test, node: RedisNode): Promise<void> {
  const client = await node.connect(t)
  await client.next()
}

t.test('E6 a user who comes to all nodes at once gets no more connections than there may be', async (t) => {
  const tickets = await Promise.all(Array.from({ length: 12 }, () => one.ticket(t)))
  const tries = tickets.map((ticket, i) => (nodes[i % 4] ?? one).connectWith(t, ticket))
  const clients = (await Promise.allSettled(tries)).filter((result) => result.status === 'fulfilled').map(({ value }) => value)
  t.equal(clients.length, MAX)
  for (const node of nodes) t.match(await node.askTicket(t), full)
  t.equal((await two.askTicket(t, 'bob')).status, 201, 'another user can connect')
  clients[0]?.socket.terminate()
  await untilCounted(MAX - 1)
  await enter(t, three)
  t.match(await one.askTicket(t), full)
})

t.test('I1 after Redis was restarted empty the connections that are open count again', async (t) => {
  await untilCounted(0)
  const clients = await Promise.all([one, two, three].map((node) => node.connect(t)))
  for (const client of clients) await client.next()
  await server.kill()
  await server.startAgain()
  await untilCounted(MAX)
  for (const node of nodes) {
    while ((await node.askTicket(t)).status === 503) await delay(20)
    t.match(await node.askTicket(t), full)
  }
  for (const client of clients) t.match(await client.request('echo', { text: 'x' }), { type: '$reply' }, 'they were open all the while')
})

t.test('I7 kill -9 of a node: its user can connect elsewhere when its lease has run out', async (t) => {
  await untilCounted(0)
  for (let i = 0; i < MAX; i++) await enter(t, one)
  t.match(await two.askTicket(t), full)
  await one.kill('SIGKILL')
  t.match(await two.askTicket(t), full, 'until then nobody can know')
  const [key = ''] = await keysOfUsers()
  // instead of waiting for fifteen seconds
  await server.cli('zadd', 'fastify-ws-ticket:nodes', 'xx', '1', await server.cli('hkeys', key))
  for (let i = 0; i < MAX; i++) await enter(t, two)
  t.match(await three.askTicket(t), full, 'and no more than there may be')
  t.equal(await counted(), MAX)
})

t.test('I6 a node that closes gives its connections back', async (t) => {
  await untilCounted(0)
  for (let i = 0; i < MAX; i++) await enter(t, two)
  t.match(await three.askTicket(t), full)
  await two.ask('close')
  t.equal(await counted(), 0)
  for (let i = 0; i < MAX; i++) await enter(t, i === 0 ? three : four)
})
