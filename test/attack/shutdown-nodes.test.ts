import t, { type Test } from 'tap'
import { buildApp, echoContract, echoHandlers } from '../fixtures/app.js'
import { knock } from '../fixtures/attacker.js'
import { type Client, connect, listen } from '../fixtures/client.js'
import { openClient } from '../fixtures/redis-clients.js'
import { type RedisNode, startNode, WIDE } from '../fixtures/redis-node.js'
import { RedisServer } from '../fixtures/redis-server.js'

const CLIENTS = 20
const DEADLINE_MS = 60_000
const plenty = { max: 100_000, timeWindow: 1000 }

/** Talks until the connection ends, one message after another. */
async function talk(client: Client): Promise<void> {
  for (let n = 0; ; n++) {
    client.send({ type: 'echo', id: n, payload: { text: 'x' } })
    const isAnswered = await Promise.race([client.next().then(() => true), client.closed.then(() => false)]).catch(() => false)
    if (!isAnswered) return
  }
}

function signal(): { readonly given: Promise<void>; readonly give: () => void } {
  let give = () => {}
  const given = new Promise<void>((resolve) => {
    give = resolve
  })
  return { given, give: () => give() }
}

/** Knocks until nobody listens any more; answers what it was told while the node was closing. */
async function knockWhileClosing(t: Test, node: RedisNode, ticket: string): Promise<Set<number>> {
  const statuses = new Set<number>()
  for (;;) {
    const status = await knock(t, node.port, '/echo', ticket).then(
      (answer) => answer.status,
      () => undefined
    )
    if (status === undefined) return statuses
    statuses.add(status)
  }
}

t.test('I6 SIGTERM under load: open sockets get 1012, newcomers are refused, and the process ends by itself', async (t) => {
  const server = await RedisServer.start(t)
  const settings = { redisPort: server.port, plugin: WIDE, route: { rateLimit: plenty } }
  const [node, other] = await Promise.all([startNode(t, settings), startNode(t, settings)])
  const clients: Client[] = []
  for (let i = 0; i < CLIENTS; i++) {
    const client = await node.connect(t, `user ${i}`)
    t.match(await client.next(), { type: '$welcome' })
    void talk(client)
    clients.push(client)
  }
  const ticket = await other.ticket(t, 'late')

  const start = performance.now()
  await node.kill('SIGTERM')
  const statuses = await knockWhileClosing(t, node, ticket)
  for (const client of clients) t.match(await client.closed, { code: 1012 })
  t.equal(await node.exited, 0)
  t.ok(performance.now() - start < DEADLINE_MS)
  t.notOk(statuses.has(101), `newcomers were told ${[...statuses].join()}`)

  const moved = await other.connectWith(t, ticket)
  t.match(await moved.next(), { type: '$welcome' }, 'the ticket is good at the other node')
  t.same(await other.ask('faults'), [])
})

t.test('I6 a handler that runs meanwhile finishes, and its client has the reply before the end', async (t) => {
  const server = await RedisServer.start(t)
  const app = await buildApp(t, { plugin: { redis: openClient(t, server.port) } })
  const begun = signal()
  const finished = signal()
  app.wsRoute('/echo', {
    contract: echoContract,
    handlers: {
      ...echoHandlers,
      async echo({ text }) {
        begun.give()
        await finished.given
        return { text }
      }
    }
  })
  const port = await listen(app)
  const client = await connect(t, app, '/echo')
  t.match(await client.next(), { type: '$welcome' })
  const reply = client.request('echo', { text: 'last words' })
  await begun.given
  const closed = app.close()
  t.equal((await knock(t, port, '/echo')).status, 503, 'it is closing')
  finished.give()
  t.match(await reply, { type: '$reply', payload: { text: 'last words' } })
  t.match(await client.closed, { code: 1012 })
  await closed
})
