import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { echoContract, echoHandlers, ORIGIN } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { connectFrom, isGood } from '../fixtures/attacker.js'
import { Client } from '../fixtures/client.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { proxied, startNginx } from '../fixtures/nginx.js'
import { needs } from '../fixtures/parts.js'
import { requestBytes, statusOf } from '../fixtures/raw-socket.js'
import { protocolsOf } from '../fixtures/refusals.js'
import { issueTicket } from '../fixtures/tickets.js'
import { type HeaderChanges, handshakeBytes } from '../fixtures/upgrade.js'

/** What the app was asked, and on which of its connections. */
const asked: { url: string; peer: number | undefined }[] = []

const options = {
  // the proxy of these tests speaks no TLS, and says so
  plugin: { ...manyRequests, allowInsecure: true },
  server: { trustProxy: '127.0.0.1' },
  declare(app: FastifyInstance) {
    app.addHook('onRequest', async ({ url, socket }) => void asked.push({ url, peer: socket.remotePort }))
    app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
    app.get('/secret', async () => 'a secret')
    app.get('/public', async () => 'public')
  }
}

const bad: Record<string, HeaderChanges> = {
  'version 1': { 'Sec-WebSocket-Version': '1' },
  'version 8': { 'Sec-WebSocket-Version': '8' },
  'version 777': { 'Sec-WebSocket-Version': '777' },
  'no version': { 'Sec-WebSocket-Version': undefined },
  'no key': { 'Sec-WebSocket-Key': undefined },
  'a foreign origin': { Origin: 'https://evil.example' },
  'two protocols': { Upgrade: 'websocket, h2c' },
  h2c: { Upgrade: 'h2c' }
}

function urls(): string[] {
  return asked.map(({ url }) => url)
}

/** Sends a bad handshake through the proxy and a request behind it, and answers what came until all is closed. */
async function smuggle(t: Test, port: number, handshake: string, request: string, isPipelined: boolean): Promise<string> {
  const raw = await connectFrom(t, port, '127.0.0.9')
  if (isPipelined) {
    raw.write(handshake + request)
  } else {
    const answered = once(raw.socket, 'data').then(() => raw.write(request))
    raw.write(handshake)
    await answered
  }
  return await raw.ended
}

/** A connection through the proxy, to see that it is one that lets them through. */
async function connectThrough(t: Test, { app }: Scene, port: number): Promise<Client> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/echo`, protocolsOf(await issueTicket(app, '/echo')), { origin: ORIGIN })
  t.teardown(() => socket.terminate())
  const client = new Client(socket)
  t.match(await client.next(), { type: '$welcome' })
  return client
}

if (needs(t, 'nginx')) {
  attack('J1 through nginx a bad version opens no tunnel to what nginx hides', options, async (t, scene) => {
    const { app, port: appPort, honest } = scene
    const server = `location /echo {${proxied}\n    }\n    location / { return 403; }`
    const port = await startNginx(t, { appPort, server })
    const ticket = await issueTicket(app, '/echo')
    const client = await connectThrough(t, scene, port)
    asked.length = 0
    const request = requestBytes('GET /secret HTTP/1.1', { Host: 'localhost', Connection: 'close' })
    for (const [what, changes] of Object.entries(bad)) {
      for (const isPipelined of [true, false]) {
        const answer = await smuggle(t, port, handshakeBytes('/echo', ticket, changes), request, isPipelined)
        t.notOk([0, 101, 200].includes(statusOf(answer)), `${what} is refused: ${statusOf(answer)}`)
        t.notMatch(answer, /a secret|HTTP\/1\.1 (101|200)/, `${what}, and nothing comes of the request behind it`)
      }
    }
    await honest.beat()
    t.notOk(urls().includes('/secret'), 'the app is not asked for it')
    t.match(await client.request('echo', { text: 'still here' }), { type: '$reply' })
    t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
  })

  attack('J1 through nginx nothing else is asked on a connection on which an upgrade was refused', options, async (t, scene) => {
    const { app, port: appPort } = scene
    const port = await startNginx(t, { appPort })
    const ticket = await issueTicket(app, '/echo')
    asked.length = 0
    for (const [what, changes] of Object.entries(bad)) {
      for (const isPipelined of [true, false]) {
        const handshake = handshakeBytes('/echo', ticket, changes)
        const request = requestBytes('GET /public HTTP/1.1', { Host: 'localhost', Connection: 'close' })
        const answer = await smuggle(t, port, handshake, request, isPipelined)
        // nginx itself may go on with its client: by requests of its own
        t.match(answer, /^HTTP\/1\.1 4\d\d [\s\S]*HTTP\/1\.1 200 OK[\s\S]*public/, what)
      }
    }
    t.equal(urls().filter((url) => url === '/public').length, Object.keys(bad).length * 2)
    const followed = asked.filter(({ url, peer }, index) => url === '/echo' && asked.slice(index + 1).some((later) => later.peer === peer))
    t.same(followed, [], 'an upgrade is the last that is asked on its connection')
    t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
  })
}
