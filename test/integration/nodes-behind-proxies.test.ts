import t from 'tap'
import { logIn, startChat } from '../examples/start-chat.js'
import type { Client } from '../fixtures/client.js'
import { RedisServer } from '../fixtures/redis-server.js'
import { connectThrough, needsProxies, PROXIES, postTicketAt, startSite } from '../fixtures/site.js'

if (needsProxies(t)) {
  t.test('J5 three nodes behind nginx and HAProxy with TLS, as documented, are one', async (t) => {
    const redis = await RedisServer.start(t)
    const env = {
      REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      JWT_SECRET: 'a secret of the tests that is long enough',
      ALLOWED_ORIGINS: 'https://app.example.com',
      TRUST_PROXY: '127.0.0.1'
    }
    const nodes = await Promise.all([startChat(t, env), startChat(t, env), startChat(t, env)])
    const ports = nodes.map(({ origin }) => Number(new URL(origin).port))
    const sites = await Promise.all(PROXIES.map((proxy) => startSite(t, proxy, ports)))
    const [first] = nodes
    if (!first) throw new Error('there is no node')

    const clients: Client[] = []
    for (let i = 0; i < 12; i++) {
      const [site, other] = i % 2 === 0 ? sites : sites.toReversed()
      if (!site || !other) throw new Error('there are two proxies')
      const { status, body } = await postTicketAt(t, site, '/chat', await logIn(first, `user ${i}`))
      t.equal(status, 201)
      // another node than the one that has issued the ticket, as a rule, and half of the time another proxy
      const client = await connectThrough(t, i % 4 < 2 ? site : other, '/chat', String(body.ticket))
      t.match(await client.request('room.join', { room: 'tea' }, i), { type: '$reply', id: i })
      clients.push(client)
    }
    const [speaker] = clients
    speaker?.send({ type: 'chat.send', payload: { room: 'tea', text: 'to all nodes' } })
    for (const client of clients) t.match(await client.next(), { type: 'chat.message', payload: { text: 'to all nodes', from: 'user 0' } })

    for (const site of sites) {
      const { status, body } = await postTicketAt(t, site, '/chat', 'garbage')
      t.match({ status, body }, { status: 401, body: { code: 'FST_WS_TICKET_UNAUTHENTICATED' } })
    }
  })
}
