import type { FastifyInstance } from 'fastify'
import { echoContract, echoHandlers, ORIGIN } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { isGood } from '../fixtures/attacker.js'
import { exchange, requestBytes } from '../fixtures/raw-socket.js'
import { isRefusal } from '../fixtures/refusals.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes } from '../fixtures/upgrade.js'

const called: string[] = []

function declare(app: FastifyInstance): void {
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
  app.addHook('preHandler', async ({ url }) => void called.push(url))
  app.get('/rest', async () => ({ got: true }))
  app.all('/all', async () => ({ got: true }))
}

attack('E10 an upgrade to an ordinary REST route is answered 404, and never 101', { declare }, async (t, { app, port }) => {
  const ticket = await issueTicket(app, '/echo')
  called.length = 0
  for (const path of ['/rest', '/all', '/rest?a=b', '/echo/ticket', '/']) {
    const answer = await exchange(t, port, handshakeBytes(path, ticket))
    isRefusal(t, answer, { status: 404, code: 'FST_WS_TICKET_NO_WEBSOCKET_ROUTE' }, path)
  }
  t.same(called, [], 'no handler is called')
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
})

attack('E10 a WebSocket route that is not upgraded is answered 426', { declare }, async (t, { port }) => {
  const headers = { Host: 'localhost', Connection: 'close', Origin: ORIGIN }
  const answer = await exchange(t, port, requestBytes('GET /echo HTTP/1.1', headers))
  isRefusal(t, answer, { status: 426, code: 'FST_WS_TICKET_UPGRADE_REQUIRED' }, 'GET')
  t.match(answer, /^upgrade: websocket\r$/im)
})
