import t from 'tap'
import { LineProcess } from '../fixtures/line-process.js'
import { needs } from '../fixtures/parts.js'
import type { Answers } from '../fixtures/redeemers.js'
import { startNode, WIDE } from '../fixtures/redis-node.js'
import { RedisServer } from '../fixtures/redis-server.js'

const NODES = 4
const ROUNDS = 10
const PER_ROUND = 1000
const INVALID = '401 FST_WS_TICKET_INVALID_TICKET'
const REPLAYED = 'FST_WS_TICKET_TICKET_REPLAYED'
/** Long ones, as a machine that has all these processes at once is busy. */
const plugin = { ...WIDE, redisTimeout: 20_000, handshakeTimeout: 30_000 }

if (needs(t, 'redis-server')) {
  t.test('C1 of 1000 redemptions at once over 4 processes exactly one is opened, each time', async (t) => {
    const redis = await RedisServer.start(t)
    const nodes = await Promise.all(Array.from({ length: NODES }, () => startNode(t, { redisPort: redis.port, plugin, logLevel: 'warn' })))
    const clients = Array.from({ length: 2 }, () => new LineProcess(t, 'redeemers.ts'))
    const ports = nodes.map(({ port }) => port).join(' ')
    const askAll = <Answer>(line: string) => Promise.all(clients.map((client) => client.ask<Answer>(line)))

    for (let round = 0; round < ROUNDS; round++) {
      t.same(await askAll<number>(`open ${PER_ROUND / NODES / clients.length} ${ports}`), [PER_ROUND / 2, PER_ROUND / 2])
      const ticket = await nodes[round % NODES]?.ticket(t)
      const answers = await askAll<Answers>(`redeem ${ticket}`)
      const count = (name: string) => answers.reduce((sum, each) => sum + (each[name] ?? 0), 0)
      t.same({ 101: count('101'), 401: count(INVALID) }, { 101: 1, 401: PER_ROUND - 1 }, `round ${round + 1}: ${JSON.stringify(answers)}`)
    }

    const logs = await Promise.all(nodes.map((node) => node.ask('log')))
    const replays = logs.flat().filter(({ code }) => code === REPLAYED)
    t.equal(replays.length, ROUNDS * (PER_ROUND - 1), 'every replay is noticed')
    t.equal(new Set(replays.map(({ connection }) => connection)).size, ROUNDS, 'and names the one that was opened')
    t.same((await Promise.all(nodes.map((node) => node.ask('faults')))).flat(), [])
  })
}
