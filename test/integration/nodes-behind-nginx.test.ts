import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { type Chat, logIn, startChat } from '../examples/start-chat.js'
import { makeCertificate } from '../fixtures/certificate.js'
import { Client } from '../fixtures/client.js'
import { startNginx } from '../fixtures/nginx.js'
import { emptyFolder } from '../fixtures/packed.js'
import { needs } from '../fixtures/parts.js'
import { RedisServer } from '../fixtures/redis-server.js'

const ORIGIN = 'https://app.example.com'
const [, documented = ''] = /```nginx\n([\s\S]*?)```/.exec(readFileSync(new URL('../../docs/deployment.md', import.meta.url), 'utf8')) ?? []

interface Site {
  readonly port: number
  readonly ca: string
}

/** The configuration of docs/deployment.md in front of these nodes, with a certificate of the test. */
async function startSite(t: Test, nodes: readonly Chat[]): Promise<Site> {
  const { key, cert } = await makeCertificate(t)
  const folder = await emptyFolder(t)
  const paths = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  writeFileSync(paths.cert, cert)
  writeFileSync(paths.key, key)
  const ports = nodes.map(({ origin }) => new URL(origin).port)
  const http = documented
    .replace('443', '127.0.0.1:PORT')
    .replace(/\/etc\/ssl\/\S+\.pem/, paths.cert)
    .replace(/\/etc\/ssl\/\S+\.key/, paths.key)
    .replaceAll(/127\.0\.0\.1:300(\d)/g, (_, index) => `127.0.0.1:${ports[index]}`)
  return { port: await startNginx(t, { http }), ca: cert }
}

interface Answer {
  readonly status: number | undefined
  readonly body: { readonly protocols?: string[]; readonly code?: string }
}

async function askTicket({ port, ca }: Site, token: string): Promise<Answer> {
  const headers = { origin: ORIGIN, 'content-type': 'application/json', authorization: `Bearer ${token}` }
  const asked = request({ host: 'localhost', port, path: '/chat/ticket', method: 'POST', headers, ca }).end('{}')
  const [response] = await once(asked, 'response')
  let text = ''
  for await (const chunk of response) text += String(chunk)
  return { status: response.statusCode, body: JSON.parse(text) }
}

async function connect(t: Test, { port, ca }: Site, protocols: string[]): Promise<Client> {
  const socket = new WebSocket(`wss://localhost:${port}/chat`, protocols, { origin: ORIGIN, ca })
  t.teardown(() => socket.terminate())
  const client = new Client(socket)
  t.match(await client.next(), { type: '$welcome' })
  return client
}

if (needs(t, 'nginx')) {
  t.test('J5 three nodes behind nginx with TLS, as documented, are one', async (t) => {
    const redis = await RedisServer.start(t)
    const env = {
      REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      JWT_SECRET: 'a secret of the tests that is long enough',
      ALLOWED_ORIGINS: ORIGIN,
      TRUST_PROXY: '127.0.0.1'
    }
    const nodes = await Promise.all([startChat(t, env), startChat(t, env), startChat(t, env)])
    const site = await startSite(t, nodes)
    const [first] = nodes
    if (!first) throw new Error('there is no node')

    const clients: Client[] = []
    for (let i = 0; i < 9; i++) {
      const { status, body } = await askTicket(site, await logIn(first, `user ${i}`))
      t.equal(status, 201)
      // another node than the one that has issued the ticket, as a rule
      const client = await connect(t, site, body.protocols ?? [])
      t.match(await client.request('room.join', { room: 'tea' }, i), { type: '$reply', id: i })
      clients.push(client)
    }
    const [speaker] = clients
    speaker?.send({ type: 'chat.send', payload: { room: 'tea', text: 'to all nodes' } })
    for (const client of clients) t.match(await client.next(), { type: 'chat.message', payload: { text: 'to all nodes', from: 'user 0' } })

    t.same(await askTicket(site, 'garbage').then(({ body }) => body.code), 'FST_WS_TICKET_UNAUTHENTICATED')
  })
}
