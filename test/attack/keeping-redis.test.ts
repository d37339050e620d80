import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { hashText } from '../../src/redis/keys.js'
import { hashTicket } from '../../src/ticket/ticket.js'
import { buildEchoApp } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { isGood, knock, postTicket, ticketFor } from '../fixtures/attacker.js'
import { connect, listen, open } from '../fixtures/client.js'
import { captureLog } from '../fixtures/log.js'
import { needs } from '../fixtures/parts.js'
import { openClient } from '../fixtures/redis-clients.js'
import { RedisServer } from '../fixtures/redis-server.js'
import { formsOf } from '../fixtures/ticket-forms.js'

const many = { max: 10_000, timeWindow: 60_000 }
const plenty = {
  issuePerIp: many,
  issuePerUser: many,
  upgradePerIp: many,
  maxTicketsPerUser: 1000,
  maxConnectionsPerUser: 1000,
  redisTimeout: 20_000
}
const invalid = { status: 401, code: 'FST_WS_TICKET_INVALID_TICKET' }
const unavailable = { status: 503, code: 'FST_WS_TICKET_UNAVAILABLE' }
const protocolsOf = (ticket: string) => ['fastify-ws-ticket.v1', `ticket.${ticket}`]
const keyOf = (ticket: string) => `fastify-ws-ticket:ticket:${hashText(hashTicket(ticket))}`

/** All commands that the server is sent from now on, as it shows them: with what is not printable escaped. */
async function monitor(t: Test, port: number): Promise<string[][]> {
  const socket = connectTcp(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  const seen: string[][] = []
  const lines = createInterface(socket).on('line', (line) =>
    seen.push([...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, arg = '']) => unescaped(arg)))
  )
  socket.write('MONITOR\r\n')
  await once(lines, 'line')
  return seen
}

function unescaped(shown: string): string {
  return shown.replace(/\\(["\\])/g, '$1')
}

/** All that the server keeps, as it would be stolen with its disk. */
async function dump(server: RedisServer): Promise<string> {
  await server.cli('save')
  return readFileSync(join(server.folder, 'dump.rdb'), 'latin1')
}

if (needs(t, 'redis-server')) {
  const server = await RedisServer.start(t, { args: ['--rdbcompression', 'no'] })
  const redis = openClient(t, server.port)

  attack('B1 neither what Redis keeps nor what it is sent shows a ticket', { plugin: { ...plenty, redis } }, async (t, { app, port }) => {
    const seen = await monitor(t, server.port)
    const claims = { sub: 'user-of-this-test' }
    const unused = await ticketFor(t, app, '/echo', { claims })
    const used = await ticketFor(t, app, '/echo', { claims })
    const elsewhere = await ticketFor(t, app, '/echo', { claims })
    const client = await connect(t, app, '/echo', { claims })
    const { connection } = Object((await client.next()).payload)
    const refresh = await ticketFor(t, app, '/echo', { claims, body: JSON.stringify({ refresh: connection }) })
    t.match(await client.request('$refresh', { ticket: refresh }), { type: '$reply' })
    await knock(t, port, '/echo', used)
    t.match(await knock(t, port, '/echo', used), invalid)
    await knock(t, port, '/echo', elsewhere, { changes: { Origin: 'https://evil.example' } })
    t.match(await knock(t, port, '/echo', 'g'.repeat(43)), invalid)

    const kept = await dump(server)
    t.ok(kept.includes(keyOf(unused)) && kept.includes('user-of-this-test'), 'the dump shows what is kept')
    t.ok(
      seen.some((args) => args.includes(keyOf(used))),
      'and the monitor what is sent'
    )
    const sent = seen.flat()
    for (const form of [unused, used, elsewhere, refresh].flatMap(formsOf)) {
      t.notOk(kept.includes(form), 'it is not kept')
      t.notOk(
        sent.some((text) => text.includes(form)),
        'it is not sent'
      )
    }
    const naming = sent.filter((text) => text.includes('user-of-this-test'))
    t.ok(naming.length > 0 && naming.every((text) => JSON.parse(text).userId === 'user-of-this-test'), 'a user is named in records only')
    t.notMatch(await server.cli('keys', '*'), 'user-of-this-test')
  })

  attack('B4 two apps with prefixes of their own share a Redis and nothing else', { plugin: { ...plenty, redis } }, async (t, scene) => {
    const { app, port } = scene
    const other = await buildEchoApp(t, { plugin: { ...plenty, redis, redisPrefix: 'other', maxTicketsPerUser: 2 } })
    const otherPort = await listen(other)
    const ours = await ticketFor(t, app, '/echo')
    const theirs = await ticketFor(t, other, '/echo')
    t.match(await knock(t, otherPort, '/echo', ours), invalid)
    t.match(await knock(t, port, '/echo', theirs), invalid)
    const connection = await connect(t, app, '/echo')
    t.match(await connection.next(), { type: '$welcome' })

    t.match(await other.wsTicket.disconnect({ user: 'ann' }), { disconnected: 0, ticketsVoided: 1 })
    t.match(await knock(t, otherPort, '/echo', theirs), invalid, 'theirs is void')
    const theirsAgain = [await ticketFor(t, other, '/echo'), await ticketFor(t, other, '/echo')]
    t.match(await postTicket(t, other, '/echo'), { status: 429 })
    t.match(await postTicket(t, app, '/echo'), { status: 201 }, 'their cap is not ours')
    t.match(await other.wsTicket.disconnect({ all: true }), { disconnected: 0, ticketsVoided: 2 })
    for (const ticket of theirsAgain) t.match(await knock(t, otherPort, '/echo', ticket), invalid)
    t.ok(await isGood(t, port, '/echo', ours), 'ours is good as before')
    t.match(await connection.request('echo', { text: 'still here' }), { type: '$reply' })
  })

  const record = (changes: object) => ({ user: { sub: 'ann' }, userId: 'ann', context: null, route: '/echo', path: '[]', ...changes })
  const whole = record({ origin: 'https://app.example.com', ip: null, refreshes: null, authenticatedUntil: null })
  const withRecord = (value: unknown) => (key: string) => [
    ['hset', key, 'record', typeof value === 'string' ? value : JSON.stringify(value)]
  ]
  const inPlace =
    (...command: string[]) =>
    (key: string) => [['del', key], command.map((word) => (word === 'KEY' ? key : word))]

  /** What becomes of a ticket in Redis, as commands on its key. */
  const CORRUPTIONS: Record<string, (key: string) => string[][]> = {
    'a text': inPlace('set', 'KEY', JSON.stringify(whole)),
    'a list': inPlace('rpush', 'KEY', 'record'),
    'a set': inPlace('sadd', 'KEY', 'record'),
    'a sorted set': inPlace('zadd', 'KEY', '1', 'record'),
    'a stream': inPlace('xadd', 'KEY', '*', 'record', '{}'),
    'only a mark': inPlace('hset', 'KEY', 'by', 'somebody'),
    'other fields': inPlace('hset', 'KEY', 'RECORD', JSON.stringify(whole)),
    'used by nobody, without a record': inPlace('hset', 'KEY', 'by', ''),
    'no JSON': withRecord('{"user":'),
    empty: withRecord(''),
    'bytes that are no text': withRecord('\u0001\uFFFD{'),
    null: withRecord(null),
    'a number': withRecord(7),
    'JSON of a text': withRecord('"live"'),
    'an empty list': withRecord([]),
    'a list of it': withRecord([whole]),
    'an empty record': withRecord({}),
    'a prototype': withRecord('{"__proto__":{"userId":"ann"}}'),
    'deep JSON': withRecord('['.repeat(5000) + ']'.repeat(5000)),
    ...Object.fromEntries(
      Object.keys(whole).flatMap((name) => (name === 'context' ? [] : [[`no ${name}`, withRecord({ ...whole, [name]: undefined })]]))
    ),
    'the user a text': withRecord({ ...whole, user: 'ann' }),
    'the id of the user an object': withRecord({ ...whole, userId: { id: 'ann' } }),
    'the record of another route': withRecord({ ...whole, route: '/other' }),
    'the record of another Origin': withRecord({ ...whole, origin: 'https://other.example' })
  }

  const { logger, lines } = captureLog()
  attack(
    'B5 a value that is corrupted in Redis is answered 503 or 401',
    { server: { logger }, plugin: { ...plenty, redis } },
    async (t, { app, port }) => {
      for (const [name, corrupt] of Object.entries(CORRUPTIONS)) {
        const ticket = await ticketFor(t, app, '/echo')
        for (const command of corrupt(keyOf(ticket))) await server.cli(...command)
        const { status, code, text } = await knock(t, port, '/echo', ticket)
        t.ok(
          [invalid, unavailable].some((refusal) => refusal.status === status && refusal.code === code),
          `${name}: ${status} ${code}`
        )
        t.notMatch(text, /TypeError|undefined|WRONGTYPE|node_modules/, 'without internals')
      }
      t.ok(await isGood(t, port, '/echo', await ticketFor(t, app, '/echo')), 'others are let in')
      t.match(JSON.stringify(lines), 'WRONGTYPE', 'the log tells why')
    }
  )

  attack(
    'B5 where what is kept of a user is corrupted, the user gets no ticket',
    { plugin: { ...plenty, redis } },
    async (t, { app, port }) => {
      const ticket = await ticketFor(t, app, '/echo', { claims: { sub: 'eve' } })
      await server.cli('set', `fastify-ws-ticket:unused:${hashText('eve')}`, 'something else')
      t.match(await postTicket(t, app, '/echo', { claims: { sub: 'eve' } }), { status: 503, body: { code: unavailable.code } })
      await t.rejects(app.wsTicket.disconnect({ user: 'eve' }), { code: 'FST_WS_TICKET_UNAVAILABLE', cause: { code: 'WRONGTYPE' } })
      t.ok(await isGood(t, port, '/echo', ticket), 'one that the user has is good')
      t.match(await postTicket(t, app, '/echo'), { status: 201 }, 'and so are all others')
    }
  )

  attackOnTwoNodes(
    'C2 a second use on another node is refused and logged, and the first connection stays',
    'log',
    async (t, { first, lines }) => {
      t.match(await first.request('echo', { text: 'still here' }), { type: '$reply' })
      t.equal(lines().length, 1)
    }
  )

  attackOnTwoNodes(
    "C2 with replay: 'disconnect' a second use on another node closes the first connection with 4409",
    'disconnect',
    async (t, { first, lines }) => {
      t.match(await first.closed, { code: 4409 })
      t.equal(lines().length, 1)
    }
  )

  interface Replay {
    /** The connection that used the ticket first, on the other node. */
    readonly first: Awaited<ReturnType<typeof connect>>
    readonly lines: () => object[]
  }

  function attackOnTwoNodes(title: string, replay: 'log' | 'disconnect', run: (t: Test, replayed: Replay) => Promise<unknown>): void {
    const { logger, lines } = captureLog('warn')
    attack(title, { server: { logger }, plugin: { ...plenty, redis, replay } }, async (t: Test, { app, port }: Scene) => {
      const other = await buildEchoApp(t, { plugin: { ...plenty, redis, replay } })
      await listen(other)
      const bystander = await connect(t, other, '/echo')
      t.match(await bystander.next(), { type: '$welcome' })
      const ticket = await ticketFor(t, app, '/echo')
      const first = open(t, other, '/echo', protocolsOf(ticket))
      const { connection } = Object((await first.next()).payload)
      t.match(await knock(t, port, '/echo', ticket), invalid, 'it is refused')
      const replays = () => lines.filter(({ code }) => code === 'FST_WS_TICKET_TICKET_REPLAYED')
      t.match(replays(), [{ user: 'ann', connection, route: '/echo' }], 'a warning says whose and which')
      await run(t, { first, lines: replays })
      t.match(await bystander.request('echo', { text: 'another of the same user' }), { type: '$reply' })
    })
  }
}
