import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { echoContract, echoHandlers } from './fixtures/app.js'
import { connect, listen } from './fixtures/client.js'
import { Closings } from './fixtures/closings.js'
import { issueTicket } from './fixtures/tickets.js'
import { as, buildTimedApp } from './fixtures/timed-app.js'

function present(app: FastifyInstance): object {
  const { totals: _, ...present } = app.wsTicket.stats()
  return present
}

t.test('stats count what there is over all routes, and come back to zero', async (t) => {
  const { app, clock } = await buildTimedApp(t)
  const closings = new Closings()
  const zero = { connections: 0, pendingHandshakes: 0, tickets: 0, topics: 0, counted: { users: 0, ips: 0, messageLimits: 0 } }
  t.strictSame(present(app), zero)
  for (const path of ['/one', '/two']) {
    app.wsRoute(path, {
      contract: echoContract,
      handlers: {
        ...echoHandlers,
        note: { handler: () => {}, rateLimit: { max: 5, timeWindow: 1000, per: 'user' } }
      },
      onOpen: (connection) => connection.subscribe(`user:${connection.userId}`),
      onClose: closings.onClose
    })
  }
  await listen(app)
  const clients = []
  for (const [path, sub] of [
    ['/one', 'ann'],
    ['/one', 'bob'],
    ['/two', 'ann']
  ] as const) {
    const client = await connect(t, app, path, as({ sub }))
    await client.next()
    await client.request('note', { text: 'counted' })
    clients.push(client)
  }
  await issueTicket(app, '/one', as({ sub: 'cid' }))
  t.strictSame(present(app), {
    connections: 3,
    pendingHandshakes: 0,
    tickets: 4,
    topics: 3,
    counted: { users: 2, ips: 1, messageLimits: 3 }
  })
  for (const client of clients) client.socket.close()
  await closings.count(3)
  clock.advance(60_000)
  t.strictSame(present(app), zero)
})
