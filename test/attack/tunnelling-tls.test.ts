import { once } from 'node:events'
import t from 'tap'
import WebSocket from 'ws'
import { ORIGIN } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { connectFrom, postTicket } from '../fixtures/attacker.js'
import { makeCertificate } from '../fixtures/certificate.js'
import { Client } from '../fixtures/client.js'
import { needs } from '../fixtures/parts.js'
import { exchange } from '../fixtures/raw-socket.js'
import { protocolsOf } from '../fixtures/refusals.js'
import { withHttps } from '../fixtures/server-options.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes } from '../fixtures/upgrade.js'

if (needs(t, 'openssl')) {
  const certificate = await makeCertificate(t)
  const server = withHttps(certificate)

  attack('J4 plain HTTP on the port of TLS is refused, not redirected', { server }, async (t, { app, port }) => {
    const ticket = await issueTicket(app, '/echo')
    const { tickets, connections } = app.wsTicket.stats()
    const upgrade = await exchange(t, port, handshakeBytes('/echo', ticket))
    t.notMatch(upgrade, 'HTTP/', 'no answer in clear')
    t.equal((await postTicket(t, app, '/echo')).status, 0)
    t.match(app.wsTicket.stats(), { tickets, connections }, 'nothing is issued or opened')

    const silent = await connectFrom(t, port)
    silent.socket.end('GET')
    t.notMatch(await silent.ended, 'HTTP/')

    const socket = new WebSocket(`wss://localhost:${port}/echo`, protocolsOf(ticket), { origin: ORIGIN, ca: certificate.cert })
    t.teardown(() => socket.terminate())
    const client = new Client(socket)
    await once(socket, 'open')
    t.match(await client.next(), { type: '$welcome' }, 'by TLS the same ticket is good')
  })
}
