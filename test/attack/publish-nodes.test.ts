import t, { type Test } from 'tap'
import type { Client } from '../fixtures/client.js'
import { needs } from '../fixtures/parts.js'
import { startCluster } from '../fixtures/redis-cluster.js'
import { type NodeSettings, type RedisNode, startNode, WIDE } from '../fixtures/redis-node.js'
import { RedisServer } from '../fixtures/redis-server.js'
import { until } from '../fixtures/until.js'

/** Of each publisher. */
const MESSAGES = 300

async function startNodes(t: Test, settings: readonly NodeSettings[]): Promise<RedisNode[]> {
  return await Promise.all(settings.map((each) => startNode(t, { ...each, plugin: WIDE })))
}

/** A client at each node, each of a user of its own, in the room `all`. */
async function joinAll(t: Test, nodes: readonly RedisNode[]): Promise<Client[]> {
  return await Promise.all(nodes.map((node, i) => join(t, node, `user ${i}`)))
}

async function join(t: Test, node: RedisNode, user: string): Promise<Client> {
  const client = await node.connect(t, user)
  t.match(await client.next(), { type: '$welcome' })
  t.match(await client.request('join', { topic: 'all' }), { type: '$reply' })
  return client
}

/** The next so many texts that begin like this; others are passed over. */
async function nextTexts(client: Client, beginning: string, count: number): Promise<string[]> {
  const texts: string[] = []
  while (texts.length < count) {
    const text = String(Object((await client.next()).payload).text)
    if (text.startsWith(beginning)) texts.push(text)
  }
  return texts
}

function numbered(publisher: string): string[] {
  return Array.from({ length: MESSAGES }, (_, n) => `${publisher}: ${n}`)
}

async function publishAll(node: RedisNode, texts: readonly string[]): Promise<number> {
  let delivered = 0
  for (const text of texts) delivered += (await node.ask('publish', 'all', text)).delivered
  return delivered
}

/** All publish at once: each message reaches each client once, and those of a publisher in order. */
async function reachEachOther(t: Test, nodes: readonly RedisNode[], clients: readonly Client[]): Promise<void> {
  const publishing = nodes.map((node, i) => publishAll(node, numbered(`of ${i}`)))
  const readings = await Promise.all(clients.map((client) => nextTexts(client, 'of ', nodes.length * MESSAGES)))
  t.same(
    await Promise.all(publishing),
    nodes.map(() => MESSAGES),
    'each has reached its own'
  )
  for (const texts of readings) {
    for (const i of nodes.keys()) {
      const its = texts.filter((text) => text.startsWith(`of ${i}: `))
      t.same(its, numbered(`of ${i}`))
    }
  }
  for (const client of clients) t.equal(client.unread, 0)
}

async function hasNoFaults(t: Test, nodes: readonly RedisNode[]): Promise<void> {
  for (const node of nodes) {
    const complaints = (await node.ask('log')).filter(({ level }) => level >= 40)
    t.same(complaints, [])
    t.same(await node.ask('faults'), [])
  }
}

if (needs(t, 'redis-server')) {
  t.test('three processes that share a Redis', async (t) => {
    const { port: redisPort } = await RedisServer.start(t)
    const nodes = await startNodes(t, [{ redisPort }, { redisPort }, { redisPort }])
    const [first, second, third] = nodes
    if (!first || !second || !third) return

    await t.test('messages of all at once reach the clients of all, each once and in order', async (t) => {
      await reachEachOther(t, nodes, await joinAll(t, nodes))
      await hasNoFaults(t, nodes)
    })

    await t.test('G9 a user is sent to, and disconnected, wherever the user is', async (t) => {
      const others = await joinAll(t, nodes)
      const anns = await Promise.all(nodes.map((node) => join(t, node, 'ann')))
      t.same(await first.ask('send', { user: 'ann' }, 'hello ann'), { delivered: 1 })
      for (const ann of anns) t.same(await nextTexts(ann, '', 1), ['hello ann'])
      const id = (await third.ask('connections')).find(({ user }) => user === 'ann')?.id ?? ''
      t.same(await first.ask('send', { connection: id }, 'hello you'), { delivered: 0 })
      for (const ann of anns.slice(-1)) t.same(await nextTexts(ann, '', 1), ['hello you'])
      const ticket = await third.ticket(t, 'ann')
      t.same(await second.ask('disconnect', { user: 'ann' }), { disconnected: 1, ticketsVoided: 1 })
      for (const ann of anns) t.same(await ann.closed, { code: 4403, reason: 'disconnected by the server' })
      await t.rejects(first.connectWith(t, ticket), 'what was not used yet is void')
      t.same(await second.ask('send', { all: true }, 'the others'), { delivered: 1 })
      for (const other of others) {
        t.same(await nextTexts(other, '', 1), ['the others'])
        t.equal(other.unread, 0)
      }
      t.ok(anns.every((ann) => ann.unread === 0))
      await hasNoFaults(t, nodes)
    })

    await t.test('I7 kill -9 of a node, and one that is stopped, do not keep the others from each other', async (t) => {
      const [atSecond, atThird] = await joinAll(t, [second, third])
      if (!atSecond || !atThird) return
      await first.kill('SIGKILL')
      await third.kill('SIGSTOP')
      t.equal(await publishAll(second, numbered('meanwhile')), MESSAGES)
      t.same(await nextTexts(atSecond, '', MESSAGES), numbered('meanwhile'))
      await third.kill('SIGCONT')
      t.same(await nextTexts(atThird, '', MESSAGES), numbered('meanwhile'), 'what it has missed was kept for it')
      const again = await startNode(t, { redisPort, plugin: WIDE })
      const atAgain = await join(t, again, 'user 0')
      await reachEachOther(t, [again, second, third], [atAgain, atSecond, atThird])
      await hasNoFaults(t, [again, second, third])
    })
  })

  t.test('I1 I4 Redis is killed and started again: each node goes on by itself, then all together', async (t) => {
    const server = await RedisServer.start(t)
    const nodes = await startNodes(t, [{ redisPort: server.port }, { redisPort: server.port }])
    const clients = await joinAll(t, nodes)
    await server.kill()
    for (const [i, node] of nodes.entries()) t.equal(await publishAll(node, numbered(`alone ${i}`)), MESSAGES)
    for (const [i, client] of clients.entries()) t.same(await nextTexts(client, '', MESSAGES), numbered(`alone ${i}`))
    const seen: string[] = []
    for (const { socket } of clients) socket.on('message', (data) => seen.push(String(data)))
    await server.startAgain()
    for (const [i, node] of nodes.entries()) {
      const others = clients.filter((_, n) => n !== i)
      let isHeard = false
      void Promise.all(others.map((client) => nextTexts(client, `back ${i}`, 1))).then(() => {
        isHeard = true
      })
      await until(async () => (await publishAll(node, [`back ${i}`])) === 1 && isHeard)
    }
    await reachEachOther(t, nodes, clients)
    t.notMatch(seen.join(), /alone/, 'nothing comes late')
    for (const node of nodes) t.same(await node.ask('faults'), [])
  })

  t.test('three processes that share a Cluster, each with another client', async (t) => {
    const [server] = await startCluster(t)
    const cluster = { redisPort: server?.port ?? 0, isCluster: true }
    const nodes = await startNodes(t, [
      { ...cluster, client: 'ioredis' },
      { ...cluster, client: 'ioredis5' },
      { ...cluster, client: 'iovalkey' }
    ])
    await reachEachOther(t, nodes, await joinAll(t, nodes))
    await hasNoFaults(t, nodes)
  })
}
