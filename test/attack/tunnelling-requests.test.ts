import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { connectFrom, isGood } from '../fixtures/attacker.js'
import { exchange, requestBytes } from '../fixtures/raw-socket.js'
import { isRefusal } from '../fixtures/refusals.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes } from '../fixtures/upgrade.js'

const secrets: string[] = []
const options = {
  declare(app: FastifyInstance) {
    app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
    app.get('/secret', async () => {
      secrets.push('told')
      return 'a secret'
    })
  }
}

const second = requestBytes('GET /secret HTTP/1.1', { Host: 'localhost' })
const wanted = { status: 426, code: 'FST_WS_TICKET_UPGRADE_REQUIRED' }
const versions = ['0', '1', '8', '12', '14', '777', '13, 8', 'x', '']

attack('J1 a bad version, and a second request behind it: it is not answered, and the connection closed', options, async (t, scene) => {
  const { app, port, honest } = scene
  const ticket = await issueTicket(app, '/echo')
  for (const version of versions) {
    const bytes = handshakeBytes('/echo', ticket, { 'Sec-WebSocket-Version': version })
    isRefusal(t, await exchange(t, port, bytes + second), wanted, `version ${version}, in one segment`)
  }
  await honest.beat()
  t.same(secrets, [])
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
})

attack('J1 a bad version, and a second request once it is refused: it is not answered', options, async (t, scene) => {
  const { app, port, honest } = scene
  const ticket = await issueTicket(app, '/echo')
  for (const version of versions) {
    const raw = await connectFrom(t, port)
    // in the turn in which the answer comes, so that the socket can still be written to
    const answered = once(raw.socket, 'data').then(() => raw.write(second))
    raw.write(handshakeBytes('/echo', ticket, { 'Sec-WebSocket-Version': version }))
    await answered
    isRefusal(t, await raw.ended, wanted, `version ${version}`)
  }
  await honest.beat()
  t.same(secrets, [])
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
})
