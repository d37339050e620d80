import fastifyJwt from '@fastify/jwt'
import fastifyWebsocket, { type WebsocketPluginOptions } from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import type { WebSocket } from 'ws'
import type { WsTicketOptions } from '../../src/index.js'
import { wsTicket } from '../../src/index.js'
import { buildApp, buildEchoApp, echoContract, echoHandlers, JWT_SECRET, ORIGIN } from '../fixtures/app.js'
import { Client, listen, open, upgradeStatus } from '../fixtures/client.js'
import { closeFrame, fragments, messageFrame, openRaw } from '../fixtures/frames.js'
import { captureLog } from '../fixtures/log.js'
import { connectRaw } from '../fixtures/raw-socket.js'
import { SlowStore } from '../fixtures/slow-store.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes, refusedUpgrade, untilStats } from '../fixtures/upgrade.js'

const protocolsOf = (ticket: string) => ['fastify-ws-ticket.v1', `ticket.${ticket}`]

/** A frame of a client: masked, with a mask of zeros. */
function frameOf(message: object): Buffer {
  const payload = Buffer.from(JSON.stringify(message))
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload])
}

/** An app with an @fastify/websocket of its own. */
async function appWithOwnServer(
  t: Test,
  options: WebsocketPluginOptions['options'],
  plugin: Partial<WsTicketOptions> = {}
): Promise<FastifyInstance> {
  const app: FastifyInstance = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyWebsocket, options === undefined ? {} : { options })
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  await app.register(wsTicket, { allowedOrigins: [ORIGIN], ...plugin })
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
  app.get('/own', { websocket: true }, (socket) => socket.send('{"type":"own"}'))
  return app
}

t.test('an app whose WebSocket server puts off events does not start, since frames could crash it', async (t) => {
  await t.rejects(appWithOwnServer(t, { allowSynchronousEvents: false }), {
    code: 'FST_WS_TICKET_INVALID_OPTION',
    message: /allowSynchronousEvents of @fastify\/websocket is false; allowed: true/
  })
  await t.resolves(appWithOwnServer(t, { allowSynchronousEvents: true }))
})

t.test('F9 frames that come together with the handshake are handled once and in order, or not at all', async (t) => {
  const texts: string[] = []
  const app = await buildApp(t)
  app.wsRoute('/echo', {
    contract: echoContract,
    handlers: {
      echo(payload: { text: string }) {
        texts.push(payload.text)
        return payload
      },
      note: () => {}
    }
  })
  const port = await listen(app)
  const frames = ['1', '2', '3'].map((text, id) => frameOf({ type: 'echo', id, payload: { text } }))
  const send = async (bytes: string) => {
    const raw = await connectRaw(t, port)
    raw.write(Buffer.concat([Buffer.from(bytes), ...frames]))
    return raw
  }
  const refused = await send(handshakeBytes('/echo', 'x'.repeat(43)))
  t.match(await refused.ended, /^HTTP\/1\.1 401/)
  t.same(texts, [])
  const accepted = await send(handshakeBytes('/echo', await issueTicket(app, '/echo')))
  t.match(await accepted.until('"id":2'), /^HTTP\/1\.1 101/)
  t.same(texts, ['1', '2', '3'])
})

t.test('C9 a ticket is in no line of the log and in no answer', async (t) => {
  const { logger, lines } = captureLog('trace')
  const app = await buildApp(t, { server: { logger }, plugin: { ticketTransport: ['subprotocol', 'query'] } })
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
  app.get('/rest', async () => 'rest')
  app.get('/own', { websocket: true }, (socket) => socket.close())
  const port = await listen(app)
  const canaries: string[] = []
  const next = async () => {
    const ticket = await issueTicket(app, '/echo')
    canaries.push(ticket)
    return ticket
  }
  const answers: string[] = []
  for (const path of ['/echo', '/rest', '/unknown', '/%zz', '/own']) {
    const ticket = await next()
    const changes = path === '/own' ? { 'Sec-WebSocket-Version': '1' } : { Origin: 'null' }
    answers.push((await refusedUpgrade(t, port, path, ticket, changes)).text)
    answers.push((await refusedUpgrade(t, port, `${path}?a=b&ticket=${ticket}`, undefined, changes)).text)
  }
  for (const isInQuery of [true, false]) {
    const ticket = await next()
    const raw = await connectRaw(t, port)
    raw.write(isInQuery ? handshakeBytes(`/echo?ticket=${ticket}`) : handshakeBytes('/echo', ticket))
    answers.push(await raw.until('$welcome'))
    t.match(raw.received, /^HTTP\/1\.1 101[\s\S]*sec-websocket-protocol: fastify-ws-ticket\.v1\r\n/i)
    answers.push((await refusedUpgrade(t, port, '/echo', ticket)).text)
  }
  for (const url of ['/echo', '/rest']) {
    const ticket = await next()
    await app.inject(`${url}?ticket=${ticket}`)
  }
  const log = JSON.stringify(lines)
  t.match(log, 'ticket=[redacted]')
  for (const canary of canaries) {
    t.notOk(log.includes(canary), 'not in the log')
    t.notOk(
      answers.some((answer) => answer.includes(canary)),
      'not in an answer'
    )
  }
})

t.test("the app's verifyClient is asked once, before the ticket is used", async (t) => {
  const answers = {
    sync: (verdict: () => boolean) => () => verdict(),
    async: (verdict: () => boolean) => (_info: unknown, answer: (isWelcome: boolean, code?: number) => void) => {
      setImmediate(() => answer(verdict(), 402))
    }
  }
  for (const [name, verifierOf] of Object.entries(answers)) {
    await t.test(name, async (t) => {
      let asked = 0
      let isWelcome = false
      const verdict = () => {
        asked++
        return isWelcome
      }
      const app = await appWithOwnServer(t, { verifyClient: verifierOf(verdict) })
      const port = await listen(app)
      const ticket = await issueTicket(app, '/echo')
      t.equal((await refusedUpgrade(t, port, '/echo', ticket)).status, name === 'sync' ? 401 : 402)
      t.equal((await refusedUpgrade(t, port, '/own')).status, name === 'sync' ? 401 : 402)
      await untilStats(app)
      t.equal(asked, 2)
      isWelcome = true
      t.match(await open(t, app, '/echo', protocolsOf(ticket)).next(), { type: '$welcome' })
      t.match(await open(t, app, '/own', []).next(), { type: 'own' })
      t.equal(asked, 4)
    })
  }
})

t.test("the app's handleProtocols chooses for the app's routes only", async (t) => {
  const app = await appWithOwnServer(t, { handleProtocols: (offered) => (offered.has('chat') ? 'chat' : false) })
  await listen(app)
  const client = open(t, app, '/echo', protocolsOf(await issueTicket(app, '/echo')))
  t.match(await client.next(), { type: '$welcome' })
  t.equal(client.socket.protocol, 'fastify-ws-ticket.v1')
  const own = open(t, app, '/own', ['other', 'chat'])
  t.match(await own.next(), { type: 'own' })
  t.equal(own.socket.protocol, 'chat')
})

t.test("an error in the app's own listener leaves nothing behind", async (t) => {
  const app = await appWithOwnServer(t, undefined)
  const port = await listen(app)
  app.websocketServer.once('headers', () => {
    throw new Error('not this time')
  })
  const raw = await connectRaw(t, port)
  raw.write(handshakeBytes('/echo', await issueTicket(app, '/echo')))
  t.notMatch(await raw.ended, '101')
  await untilStats(app)
  t.match(await upgradeStatus(t, app, '/echo', protocolsOf(await issueTicket(app, '/echo'))), { status: 101 })
})

t.test('a hook that opens the socket itself holds no place', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/echo', {
    contract: echoContract,
    handlers: echoHandlers,
    preHandler: async (request, reply) => {
      if (!request.ws) return
      reply.hijack()
      const { socket } = request.raw
      socket.write('mine')
      socket.on('data', () => {})
      socket.on('end', () => socket.end())
    }
  })
  const port = await listen(app)
  const raw = await connectRaw(t, port)
  raw.write(handshakeBytes('/echo', await issueTicket(app, '/echo')))
  await raw.until('mine')
  await untilStats(app)
  raw.socket.destroy()
})

t.test('a client that leaves in a hook of the app reaches no store', async (t) => {
  const store = new SlowStore('find')
  let leave = () => {}
  const app = await buildApp(t, { plugin: { store } })
  app.wsRoute('/echo', {
    contract: echoContract,
    handlers: echoHandlers,
    preHandler: async (request) => {
      if (request.isTicketUpgrade) leave()
      while (request.isTicketUpgrade) await new Promise((resolve) => setImmediate(resolve))
    }
  })
  const port = await listen(app)
  const raw = await connectRaw(t, port)
  leave = () => raw.socket.resetAndDestroy()
  raw.write(handshakeBytes('/echo', await issueTicket(app, '/echo')))
  await raw.ended
  await untilStats(app)
  t.equal(store.redeemed, 0)
})

t.test('injectWS opens a connection like a socket does', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
  await app.ready()
  const protocols = protocolsOf(await issueTicket(app, '/echo')).join(', ')
  const client = await new Promise<Client>((resolve, reject) => {
    const headers = { host: 'localhost', origin: ORIGIN, 'sec-websocket-protocol': protocols }
    app.injectWS('/echo', { headers }, { onInit: (socket) => resolve(new Client(socket)) }).catch(reject)
  })
  t.match(await client.next(), { type: '$welcome' })
  t.match(await client.request('echo', { text: 'x' }), { type: '$reply', payload: { text: 'x' } })
  client.socket.terminate()
})

t.test("C5 a handshake that the app's own server would refuse is refused before the ticket is used", async (t) => {
  const app = await appWithOwnServer(t, { perMessageDeflate: true, maxPayload: 65_536 }, { ticketTransport: ['subprotocol', 'query'] })
  const port = await listen(app)
  const ticket = await issueTicket(app, '/echo')
  const refused = { status: 400, code: 'FST_WS_TICKET_BAD_HANDSHAKE' }
  for (const extensions of ['permessage-deflate; unknown', 'permessage-deflate; server_max_window_bits=99', ';;;', ',']) {
    t.match(await refusedUpgrade(t, port, '/echo', ticket, { 'Sec-WebSocket-Extensions': extensions }), refused, extensions)
  }
  const protocols = { 'Sec-WebSocket-Protocol': 'not a token' }
  t.match(await refusedUpgrade(t, port, `/echo?ticket=${ticket}`, undefined, protocols), refused, 'subprotocols that are none')
  const client = open(t, app, '/echo', protocolsOf(ticket))
  t.match(await client.next(), { type: '$welcome' }, 'the ticket stayed good')
  t.equal(client.socket.extensions, 'permessage-deflate', 'and what is acceptable is negotiated')
})

t.test('an app may look at the bytes of its sockets, and sees them as they come', async (t) => {
  const app = await buildEchoApp(t)
  let seen = ''
  app.server.on('connection', (transport) => transport.on('data', (bytes) => (seen += bytes.toString('latin1'))))
  await listen(app)
  const client = await openRaw(t, app)
  const message = messageFrame({ type: 'echo', id: 1, payload: { text: 'a' } })
  client.write(message)
  t.match(await client.next(), { type: '$reply', id: 1 })
  t.ok(seen.endsWith(message.toString('latin1')))
  t.equal(app.wsTicket.stats().pendingHandshakes, 0)
})

t.test('behind a close frame that the app has sent by itself nothing is handled', async (t) => {
  const texts: string[] = []
  const app = await buildApp(t)
  const sockets: WebSocket[] = []
  app.websocketServer.on('connection', (socket) => sockets.push(socket))
  const note = ({ text }: { text: string }) => {
    texts.push(text)
    for (const socket of sockets) socket.close(4001)
  }
  app.wsRoute('/echo', { contract: echoContract, handlers: { ...echoHandlers, note } })
  await listen(app)
  const client = await openRaw(t, app)
  for (const socket of sockets) socket.close(4001)
  client.write(messageFrame({ type: 'note', payload: { text: 'late' } }), closeFrame(4001))
  t.match(await client.closed, { code: 4001 })
  await client.raw.ended
  t.strictSame(texts, [])

  const inPieces = await openRaw(t, app)
  const halves = (text: string) => fragments('{"type":"note","payload":', `{"text":"${text}"}}`)
  inPieces.write(...halves('first'), ...halves('late'), closeFrame(4001))
  await inPieces.raw.ended
  t.strictSame(texts, ['first'], 'nor what the socket has read with it')
})
