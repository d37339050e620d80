import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { connectFrom, isGood } from '../fixtures/attacker.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { type RawSocket, requestBytes } from '../fixtures/raw-socket.js'
import { countServerSockets, untilServerSockets } from '../fixtures/server-sockets.js'
import { issueTicket } from '../fixtures/tickets.js'
import { as } from '../fixtures/timed-app.js'
import { handshakeBytes } from '../fixtures/upgrade.js'

const TIMEOUT_MS = 5000
const DEAF = 20
/** More than the buffers of the system on both sides hold. */
const HUGE = Buffer.alloc(12_000_000, 'x')

const asked: string[] = []

const options = {
  timed: true,
  plugin: { ...manyRequests, handshakeTimeout: TIMEOUT_MS },
  declare(app: FastifyInstance) {
    app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
    app.wsRoute('/verbose', {
      contract: echoContract,
      handlers: echoHandlers,
      preHandler: async (request, reply) => (request.ws ? reply.code(403).send(HUGE) : undefined)
    })
    app.get('/huge', async () => {
      asked.push('huge')
      return HUGE
    })
  }
}

/** Clients that read nothing of what they are sent. They write once the server has all of them. */
async function connectDeaf(t: Test, scene: Scene, bytes: string): Promise<RawSocket[]> {
  const before = await countServerSockets(scene.app)
  const deaf = await Promise.all(Array.from({ length: DEAF }, () => connectFrom(t, scene.port, '127.0.0.9')))
  await untilServerSockets(scene.app, before + DEAF)
  for (const raw of deaf) {
    raw.socket.pause()
    raw.write(bytes)
  }
  return deaf
}

attack('E5 refused clients that do not read are gone at once where the answer fits into the buffers', options, async (t, scene) => {
  const before = await countServerSockets(scene.app)
  const ticket = await issueTicket(scene.app, '/echo', as({ sub: 'ann' }))
  for (const changes of [{ Origin: 'null' }, { 'Sec-WebSocket-Key': 'short' }, { Upgrade: 'websocket, h2c' }]) {
    await connectDeaf(t, scene, handshakeBytes('/echo', ticket, changes))
    await untilServerSockets(scene.app, before)
  }
  t.ok(await isGood(t, scene.port, '/echo', ticket), 'the ticket is not burnt')
})

attack('E5 refused clients that do not read a huge answer are destroyed at the deadline', options, async (t, scene) => {
  const { app, advance } = scene
  const before = await countServerSockets(scene.app)
  const ticket = await issueTicket(app, '/verbose', as({ sub: 'ann' }))
  const deaf = await connectDeaf(t, scene, handshakeBytes('/verbose', ticket))
  while (app.wsTicket.stats().pendingHandshakes < DEAF) await delay(1)
  await advance(TIMEOUT_MS - 1000)
  t.equal(await countServerSockets(scene.app), before + DEAF, 'not before')
  await advance(1250)
  await untilServerSockets(scene.app, before)
  t.match(app.wsTicket.stats(), { pendingHandshakes: 0 })
  for (const { socket } of deaf) socket.resume()
  const received = await Promise.all(deaf.map(({ ended }) => ended))
  t.ok(
    received.every((text) => text.startsWith('HTTP/1.1 403 ') && text.length < HUGE.length),
    'none has got it all'
  )
})

attack('E5 an upgrade behind an answer that is not read is not answered, and gone at once', options, async (t, scene) => {
  const { app, port } = scene
  const before = await countServerSockets(scene.app)
  const ticket = await issueTicket(app, '/echo', as({ sub: 'ann' }))
  const deaf = await connectDeaf(t, scene, requestBytes('GET /huge HTTP/1.1', { Host: 'localhost' }))
  while (asked.length < DEAF) await delay(1)
  for (const raw of deaf) raw.write(handshakeBytes('/echo', ticket))
  await untilServerSockets(scene.app, before)
  for (const { socket } of deaf) socket.resume()
  const received = await Promise.all(deaf.map(({ ended }) => ended))
  t.ok(
    received.every((text) => text.lastIndexOf('HTTP/1.1 ') <= 0),
    'none is answered more than the first request'
  )
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
})
