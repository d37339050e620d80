import { once } from 'node:events'
import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { attack, type Scene } from '../fixtures/attack.js'
import { CountedEcho, manyMessages, manyRequests } from '../fixtures/counted-echo.js'
import { closeFrame, frame, messageFrame, Opcode, RawClient } from '../fixtures/frames.js'
import { RawSocket } from '../fixtures/raw-socket.js'
import { countServerSockets, untilServerSockets } from '../fixtures/server-sockets.js'
import { issueTicket } from '../fixtures/tickets.js'
import { as } from '../fixtures/timed-app.js'
import { handshakeBytes } from '../fixtures/upgrade.js'

const CLOSE_TIMEOUT_MS = 2000
const SESSION_MS = 10_000
const route = new CountedEcho()
const options = {
  timed: true,
  plugin: { ...manyRequests, closeTimeout: CLOSE_TIMEOUT_MS },
  declare: (app: FastifyInstance) => route.declare(app, { ...manyMessages, maxSession: SESSION_MS, pingInterval: '1 hour' })
}

/** A client whose own side of the connection stays open when the server ends its one. */
async function openStubborn(t: Test, { app, port }: Scene): Promise<RawClient> {
  const ticket = await issueTicket(app, '/echo', as({ sub: 'ann' }))
  const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.9', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  const client = new RawClient(new RawSocket(socket))
  client.write(Buffer.from(handshakeBytes('/echo', ticket)))
  t.match(await client.next(), { type: '$welcome' })
  return client
}

const note = messageFrame({ type: 'note', payload: { text: 'never' } })

/** What clients do when the server closes, in place of answering and leaving. */
const peers: Record<string, (client: RawClient, scene: Scene) => Promise<void>> = {
  async 'stays silent'(_client, { advance }) {
    await advance(CLOSE_TIMEOUT_MS)
  },
  async 'stops reading'({ raw }, { advance }) {
    raw.socket.pause()
    await advance(CLOSE_TIMEOUT_MS)
  },
  async 'sends messages'(client, { advance }) {
    for (let i = 0; i < CLOSE_TIMEOUT_MS / 1000; i++) {
      client.write(note, frame({ opcode: Opcode.ping, payload: 'hello' }))
      await advance(1000)
    }
  },
  async 'begins a frame and never ends it'(client, { advance }) {
    client.write(note.subarray(0, -1))
    await advance(CLOSE_TIMEOUT_MS)
  },
  async 'answers and never ends the TCP connection'(client, { advance }) {
    client.write(closeFrame(1000))
    await advance(CLOSE_TIMEOUT_MS)
  }
}

for (const [what, behave] of Object.entries(peers)) {
  attack(`E9 the server closes and the client ${what}: it is gone by closeTimeout`, options, async (t, scene) => {
    const { app, honest } = scene
    const before = await countServerSockets(app)
    const client = await openStubborn(t, scene)
    await app.wsTicket.disconnect({ user: 'ann' })
    await honest.beat()
    t.equal(await countServerSockets(app), before + 1, 'not at once')
    await behave(client, scene)
    await untilServerSockets(app, before)
    t.same(route.handled, [], 'nothing is handled any more')
  })
}

/** Other reasons for which the server closes. */
const closers: Record<string, (client: RawClient, scene: Scene) => Promise<unknown>> = {
  'its session expires': async (_client, { advance }) => await advance(SESSION_MS),
  'a frame is against the protocol': async (client) => client.write(frame({ masked: false, payload: 'x' })),
  'a frame is binary': async (client) => client.write(frame({ opcode: Opcode.binary, payload: 'x' })),
  'it closes itself, and never ends the TCP connection': async (client) => client.write(closeFrame(1000))
}

for (const [why, close] of Object.entries(closers)) {
  attack(`E9 a client stays silent after ${why}: it is gone by closeTimeout`, options, async (t, scene) => {
    const before = await countServerSockets(scene.app)
    const client = await openStubborn(t, scene)
    await close(client, scene)
    await client.closed
    await scene.advance(CLOSE_TIMEOUT_MS + 1000)
    await untilServerSockets(scene.app, before)
  })
}
