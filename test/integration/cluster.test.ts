import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { buildApp, echoContract, echoHandlers } from '../fixtures/app.js'
import { isGood, knock, postTicket, ticketFor } from '../fixtures/attacker.js'
import { type Client, connect, listen } from '../fixtures/client.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { type ClientName, openClusterClient } from '../fixtures/redis-clients.js'
import { startCluster } from '../fixtures/redis-cluster.js'
import type { RedisServer } from '../fixtures/redis-server.js'

/** A node whose connections all listen to one topic. */
async function startNode(t: Test, port: number, name?: ClientName) {
  const app = await buildApp(t, { plugin: { ...manyRequests, redis: openClusterClient(t, port, name), maxConnectionsPerUser: 3 } })
  const route = app.wsRoute('/echo', {
    contract: echoContract,
    handlers: { ...echoHandlers, note: { rateLimit: { max: 2, timeWindow: '1 minute', per: 'user' }, handler: () => {} } },
    onOpen: (connection) => connection.subscribe('news')
  })
  return { app, route, port: await listen(app) }
}

async function welcomed(client: Client): Promise<Client> {
  await client.next()
  return client
}

/** What a server of the Cluster says that it is. */
async function roleOf(server: RedisServer): Promise<string> {
  const [role = ''] = (await server.cli('role')).split('\n')
  return role
}

const servers = await startCluster(t, { masters: 3, replicas: 1 })
const [entry] = servers
if (!entry) throw new Error('there is no server')

for (const name of ['ioredis', 'ioredis5', 'iovalkey'] as const) {
  t.test(`nodes on a Cluster are one, with ${name}`, async (t) => {
    const [here, there] = [await startNode(t, entry.port, name), await startNode(t, entry.port, name)]
    const user = { claims: { sub: `ann with ${name}` } }
    const ticket = await ticketFor(t, here.app, '/echo', user)
    t.ok(await isGood(t, there.port, '/echo', ticket), 'a ticket of one is good at the other')
    t.match(await knock(t, here.port, '/echo', ticket), { status: 401 }, 'and once only')

    const [one, two] = [
      await welcomed(await connect(t, here.app, '/echo', user)),
      await welcomed(await connect(t, there.app, '/echo', user))
    ]
    here.route.publish('news', 'news', { text: 'to both' })
    for (const client of [one, two]) t.match(await client.next(), { type: 'news', topic: 'news', payload: { text: 'to both' } })
    t.match(await one.request('note', { text: 'x' }), { type: '$reply' })
    t.match(await one.request('note', { text: 'x' }), { type: '$reply' })
    while ((await two.request('note', { text: 'x' })).type !== '$error');
    t.pass('a limit per user is one on both')

    await welcomed(await connect(t, here.app, '/echo', user))
    t.match(await postTicket(t, there.app, '/echo', user), { status: 409 }, 'as are the connections of a user')
    await there.app.wsTicket.disconnect({ user: user.claims.sub })
    for (const client of [one, two]) t.match(await client.closed, { code: 4403 })
  })
}

t.test('I4 a master of the Cluster is killed: its replica takes over, and nodes go on by themselves', async (t) => {
  const [here, there] = [await startNode(t, entry.port), await startNode(t, entry.port)]
  const [one, two] = [await welcomed(await connect(t, here.app, '/echo')), await welcomed(await connect(t, there.app, '/echo'))]
  const roles = await Promise.all(servers.map(roleOf))
  // not the one that the clients know first, so that they have to find their way
  const victim = servers.findLast((server, index) => roles[index] === 'master' && server !== entry)
  await victim?.kill()
  const others = servers.filter((server) => server !== victim)
  while ((await Promise.all(others.map(roleOf))).filter((role) => role === 'master').length < 3) await delay(50)
  // every slot is served again, whoever asks
  for (let i = 0; i < 30; i++) {
    const user = { claims: { sub: `user ${i}` } }
    let status = 503
    while (status === 503) ({ status } = await postTicket(t, here.app, '/echo', user))
    t.equal(status, 201)
    let ticket = await ticketFor(t, here.app, '/echo', user).catch(() => '')
    while (ticket === '') ticket = await ticketFor(t, here.app, '/echo', user).catch(() => '')
    // the other node finds its way, too; a ticket that can not be used yet stays good
    do ({ status } = await knock(t, there.port, '/echo', ticket))
    while (status === 503)
    t.equal(status, 101, `user ${i}`)
  }
  // a topic's channel may have been the victim's
  const texts: unknown[] = []
  for (let n = 0; texts.length === 0; n++) {
    here.route.publish('news', 'news', { text: `${n}` })
    t.match(await one.next(), { payload: { text: `${n}` } })
    await delay(50)
    while (two.unread > 0) texts.push(Object((await two.next()).payload).text)
  }
  here.route.publish('news', 'news', { text: 'the last' })
  while (texts.at(-1) !== 'the last') texts.push(Object((await two.next()).payload).text)
  t.equal(new Set(texts).size, texts.length, 'and nothing comes twice')
})
