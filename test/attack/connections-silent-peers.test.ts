import type { FastifyInstance } from 'fastify'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { openRaw } from '../fixtures/frames.js'
import { countServerSockets } from '../fixtures/server-sockets.js'
import { as } from '../fixtures/timed-app.js'

const PEERS = 5
const INTERVAL_MS = 20_000
const TIMEOUT_MS = 5000
const CLOSE_TIMEOUT_MS = 3000
/** The server looks after its connections in rounds. */
const ROUND_MS = 250

const closings: number[] = []
const options = {
  timed: true,
  plugin: { ...manyRequests, pingInterval: INTERVAL_MS, pongTimeout: TIMEOUT_MS, closeTimeout: CLOSE_TIMEOUT_MS },
  declare: (app: FastifyInstance) =>
    app.wsRoute('/echo', {
      contract: echoContract,
      handlers: echoHandlers,
      onClose: (_connection, code) => void closings.push(code)
    })
}

const request = as({ sub: 'ann' })
const many = Array.from({ length: PEERS })

attack('E7 half-open peers are gone within the ping interval plus the timeout', options, async (t, { app, advance }) => {
  const { connections } = app.wsTicket.stats()
  const before = await countServerSockets(app)
  const peers = await Promise.all(many.map(() => openRaw(t, app, { request, localAddress: '127.0.0.9' })))
  // as where packets are dropped: nothing is read, nothing is answered, nothing is closed
  for (const { raw } of peers) raw.socket.pause()
  closings.length = 0

  await advance(INTERVAL_MS + TIMEOUT_MS - 1000)
  t.equal(await countServerSockets(app), before + PEERS, 'not before')
  await advance(1000 + ROUND_MS)
  t.equal(await countServerSockets(app), before, 'their sockets are gone')
  t.equal(app.wsTicket.stats().connections, connections)
  t.same(closings, Array(PEERS).fill(4408))
})
