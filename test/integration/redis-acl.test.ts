import { readFileSync } from 'node:fs'
import t from 'tap'
import { buildApp, echoContract, echoHandlers } from '../fixtures/app.js'
import { knock, ticketFor } from '../fixtures/attacker.js'
import { connect, listen } from '../fixtures/client.js'
import { captureLog } from '../fixtures/log.js'
import { openClient } from '../fixtures/redis-clients.js'
import { RedisServer } from '../fixtures/redis-server.js'

const deployment = readFileSync(new URL('../../docs/deployment.md', import.meta.url), 'utf8')
const [, documented = ''] = /^user (fastify-ws-ticket on .*)$/m.exec(deployment) ?? []

t.test('the user of Redis that is documented may do all that the plugin does, and nothing else', async (t) => {
  const server = await RedisServer.start(t)
  await server.cli('acl', 'setuser', ...documented.replace('PASSWORD', 'canary').split(' '))
  const { logger, lines } = captureLog('info')
  const open = async () => {
    const redis = openClient(t, server.port, 'ioredis', { username: 'fastify-ws-ticket', password: 'canary' })
    const app = await buildApp(t, { plugin: { redis, maxTicketsPerUser: 2, maxConnectionsPerUser: 2 }, server: { logger } })
    const route = app.wsRoute('/echo', {
      contract: echoContract,
      handlers: { ...echoHandlers, note: { rateLimit: { max: 1, timeWindow: '1 minute', per: 'user' }, handler: () => {} } },
      onOpen: (connection) => connection.subscribe('news')
    })
    return { app, route, port: await listen(app) }
  }
  const [here, there] = [await open(), await open()]

  const [one, two] = [await connect(t, here.app, '/echo'), await connect(t, there.app, '/echo')]
  for (const client of [one, two]) t.match(await client.next(), { type: '$welcome' })
  here.route.publish('news', 'news', { text: 'to both' })
  for (const client of [one, two]) t.match(await client.next(), { type: 'news', payload: { text: 'to both' } })
  there.route.send({ user: 'ann' }, 'news', { text: 'to ann' })
  for (const client of [one, two]) t.match(await client.next(), { type: 'news', payload: { text: 'to ann' } })
  t.match(await one.request('note', { text: 'x' }), { type: '$reply' })
  t.match(await one.request('note', { text: 'x' }), { type: '$error', payload: { statusCode: 429 } })

  const bob = { claims: { sub: 'bob' } }
  const used = await ticketFor(t, here.app, '/echo', bob)
  t.match(await knock(t, here.port, '/echo', used), { status: 101 })
  await ticketFor(t, here.app, '/echo', bob)
  await ticketFor(t, here.app, '/echo', bob)
  t.match(await here.app.wsTicket.disconnect({ all: true }), { ticketsVoided: 2 })
  for (const client of [one, two]) t.match(await client.closed, { code: 4403 })
  for (const { app } of [here, there]) await app.close()

  t.same(
    lines.filter(({ level }) => level > 30),
    [],
    'nothing was refused'
  )
  const foreign = openClient(t, server.port, 'ioredis', { username: 'fastify-ws-ticket', password: 'canary' })
  for (const [command, ...args] of [['GET', 'other'], ['FLUSHALL'], ['PUBLISH', 'other', 'x'], ['CONFIG', 'GET', 'requirepass']]) {
    await t.rejects(
      Promise.resolve(Reflect.apply(Reflect.get(foreign, 'call'), foreign, [command, args])),
      { message: /^NOPERM/ },
      String(command)
    )
  }
})
