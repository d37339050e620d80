import { randomUUID } from 'node:crypto'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { text } from 'node:stream/consumers'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { echoContract, echoHandlers, ORIGIN } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { Client } from '../fixtures/client.js'
import { RecordingRelay } from '../fixtures/recording-relay.js'
import { protocolsOf } from '../fixtures/refusals.js'
import { needsProxies, PROXIES, startSite } from '../fixtures/site.js'

const options = {
  server: { trustProxy: '127.0.0.1' },
  declare: (app: FastifyInstance) => app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
}

/** Secrets of a session by what they are, each as it stands on a wire that is not encrypted. */
type Secrets = Record<'JWT' | 'ticket' | 'message' | 'reply' | 'event', string>

/** Signs in, connects and talks through a relay, and answers what nobody else may know of it. */
async function talk(t: Test, { app }: Scene, relay: RecordingRelay, ca?: string): Promise<Secrets> {
  const jwt = app.jwt.sign({ sub: `ann ${randomUUID()}` })
  const ticket = await askTicket(relay.port, jwt, ca)
  const url = `${ca === undefined ? 'ws' : 'wss'}://localhost:${relay.port}/echo`
  // the mask of a client hides nothing; one of zeros leaves the bytes as they are
  const socket = new WebSocket(url, protocolsOf(ticket), { origin: ORIGIN, generateMask: (mask) => mask.fill(0), ...(ca && { ca }) })
  t.teardown(() => socket.terminate())
  const client = new Client(socket)
  t.match(await client.next(), { type: '$welcome' })
  const secrets = { JWT: jwt, ticket, message: randomUUID(), reply: randomUUID(), event: randomUUID() }
  client.send({ type: 'note', payload: { text: secrets.message } })
  t.match(await client.request('echo', { text: secrets.reply }), { type: '$reply', payload: { text: secrets.reply } })
  app.wsTicket.send({ all: true }, 'news', { text: secrets.event })
  t.match(await client.next(), { type: 'news', payload: { text: secrets.event } })
  return secrets
}

async function askTicket(port: number, jwt: string, ca?: string): Promise<string> {
  const headers = { origin: ORIGIN, 'content-type': 'application/json', authorization: `Bearer ${jwt}` }
  const asked = { host: 'localhost', port, path: '/echo/ticket', method: 'POST', headers, agent: false }
  const sent = ca === undefined ? requestHttp(asked) : requestHttps({ ...asked, ca })
  const body = await new Promise<string>((resolve, reject) => {
    sent.on('error', reject)
    sent.on('response', (response) => void text(response).then(resolve, reject))
    sent.end('{}')
  })
  return String(JSON.parse(body).ticket)
}

/** The names of secrets that stand in what went through a relay. */
function found(secrets: Secrets, { sent, received }: RecordingRelay): string[] {
  return Object.entries(secrets).flatMap(([name, secret]) => (sent.includes(secret) || received.includes(secret) ? [name] : []))
}

attack('J7 a capture of the wire in clear holds all that is said, so that a canary would be found', options, async (t, scene) => {
  const relay = await RecordingRelay.start(t, scene.port)
  const secrets = await talk(t, scene, relay)
  t.same(found(secrets, relay), ['JWT', 'ticket', 'message', 'reply', 'event'])
})

if (needsProxies(t)) {
  for (const proxy of PROXIES) {
    attack(`J7 a capture of the wire under wss to ${proxy} holds no canary`, options, async (t, scene) => {
      const site = await startSite(t, proxy, scene.port)
      const relay = await RecordingRelay.start(t, site.port)
      const secrets = await talk(t, scene, relay, site.ca)
      t.same(found(secrets, relay), [])
      const { sent, received } = relay
      t.ok(sent.length > 1000 && received.length > 1000, `${sent.length} and ${received.length} bytes went through it`)
      for (const bytes of [sent, received]) t.equal(bytes.subarray(0, 2).toString('hex'), '1603', 'which begin with a handshake of TLS')
    })
  }
}
