import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { LiveConnection } from '../../src/connection/live-connection.js'
import { hashText } from '../../src/redis/keys.js'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { type Client, connectInjected } from '../fixtures/client.js'
import { captureLog, type LogLine } from '../fixtures/log.js'
import { needs } from '../fixtures/parts.js'
import { openClient } from '../fixtures/redis-clients.js'
import { RedisServer } from '../fixtures/redis-server.js'
import { as, buildTimedApp, type TimedApp } from '../fixtures/timed-app.js'

const PREFIX = 'fastify-ws-ticket'
const ROUTE = '/echo'
const TOPIC = 'room'
const CONTROL = `${PREFIX}:control`
const CHANNEL = `${PREFIX}:topic:${hashText(ROUTE, TOPIC)}`

const head = { v: 1, from: 'another node' }
const event = { type: 'news', topic: TOPIC, payload: { text: 'forged' } }
const publishOf = (frame: object | string, change: object = {}) => ({ ...head, kind: 'publish', frame: textOf(frame), ...change })
const sendOf = (frame: object | string, change: object = {}) => ({
  ...head,
  kind: 'send',
  route: ROUTE,
  target: { all: true },
  frame: textOf(frame),
  ...change
})
const disconnectOf = (change: object = {}) => ({
  ...head,
  kind: 'disconnect',
  id: 'one',
  route: null,
  target: { all: true },
  code: 4403,
  reason: '',
  ...change
})

function textOf(value: object | string): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

/** What is wrong on whatever channel it comes. */
const GARBAGE: (string | Buffer)[] = [
  '',
  ' ',
  'x',
  '{',
  'null',
  '0',
  '[]',
  '""',
  '{}',
  'OK\r\n*3\r\n$7\r\nmessage\r\n',
  '\u0000'.repeat(1000),
  randomBytes(1000),
  Buffer.from([0xff, 0xfe, 0x7b, 0x7d]),
  nested(100_000),
  `{"v":1,"a":${nested(100_000)}}`,
  `${'{"v":1,"from":'.repeat(10_000)}`,
  JSON.stringify({ v: 1 }),
  JSON.stringify({ v: 1, from: 'x', kind: 'unknown' }),
  JSON.stringify({ v: 1, from: 'x', kind: '__proto__' }),
  JSON.stringify({ ...head, kind: ['publish'], frame: textOf(event) })
]

/** What is no event of the contract; on a topic they are those of the topic. */
const EVENTS: (object | string)[] = [
  '',
  'null',
  '[]',
  '{}',
  nested(100_000),
  { ...event, payload: { text: 7 } },
  { ...event, payload: { text: 'forged', more: 1 } },
  { ...event, payload: undefined },
  { ...event, type: 'unknown' },
  { ...event, type: '__proto__' },
  { ...event, type: '$welcome', payload: { connection: 'c', expiresAt: 0 } },
  { ...event, type: '$error', payload: { code: 'FORGED', statusCode: 500, message: '' } },
  { ...event, type: '$reply', id: 1 },
  { ...event, id: 1 },
  textOf(event).replace('"text"', '"__proto__":{"text":"forged"},"text"'),
  textOf(event).replace('"payload"', '"__proto__":{},"payload"'),
  textOf(event).replace('"payload":{', '"payload":{"constructor":{"prototype":{}},'),
  { ...event, payload: { text: 'x'.repeat(2_000_000) } }
]

const TO_TOPIC: (string | Buffer | object)[] = [
  ...GARBAGE,
  ...EVENTS.map((frame) => publishOf(frame)),
  publishOf({ ...event, topic: 'other' }),
  publishOf({ ...event, topic: undefined }),
  publishOf(event, { v: 0 }),
  publishOf(event, { v: 2 }),
  publishOf(event, { v: '1' }),
  publishOf(event, { from: { toString: 1 } }),
  publishOf(event, { topic: TOPIC }),
  publishOf(event, { route: ROUTE }),
  publishOf(event, { frame: event }),
  textOf(publishOf(event)).replace('"kind"', '"__proto__":{"kind":"publish"},"kind"'),
  sendOf({ ...event, topic: undefined }),
  disconnectOf()
]

const TO_CONTROL: (string | Buffer | object)[] = [
  ...GARBAGE,
  ...EVENTS.map((frame) => sendOf(typeof frame === 'string' ? frame : { ...frame, topic: undefined })),
  sendOf(event),
  sendOf({ ...event, topic: undefined }, { route: undefined }),
  sendOf({ ...event, topic: undefined }, { route: 7 }),
  sendOf({ ...event, topic: undefined }, { target: {} }),
  sendOf({ ...event, topic: undefined }, { target: { all: true, user: 'ann' } }),
  sendOf({ ...event, topic: undefined }, { target: { __proto__: null, toString: 'ann' } }),
  publishOf(event),
  disconnectOf({ v: 2 }),
  disconnectOf({ code: 1005 }),
  disconnectOf({ code: 99_999 }),
  disconnectOf({ code: -1 }),
  disconnectOf({ reason: 'x'.repeat(124) }),
  disconnectOf({ reason: 'x'.repeat(2_000_000) }),
  disconnectOf({ target: { user: '' } }),
  disconnectOf({ frame: '' })
]

interface Scene extends TimedApp {
  readonly client: Client
  readonly lines: LogLine[]
  /** Whoever may publish to Redis. */
  readonly attacker: Redis
  /** Publishes as another node does. */
  honest(text: string): Promise<void>
}

async function createScene(t: Test, server: RedisServer): Promise<Scene> {
  const { logger, lines } = captureLog('warn')
  const timed = await buildTimedApp(t, { server: { logger }, plugin: { redis: openClient(t, server.port) } })
  const onOpen = async (connection: Pick<LiveConnection, 'subscribe'>) => await connection.subscribe(TOPIC)
  timed.app.wsRoute(ROUTE, { contract: echoContract, handlers: echoHandlers, onOpen })
  await timed.app.ready()
  const client = await connectInjected(timed.app, ROUTE, as({ sub: 'ann' }))
  await client.next()
  const attacker = new Redis({ host: '127.0.0.1', port: server.port })
  t.teardown(() => attacker.disconnect())
  await isListening(attacker)
  const honest = async (text: string) => {
    await attacker.publish(CHANNEL, textOf(publishOf({ ...event, payload: { text } })))
    t.strictSame(await client.next(), { type: 'news', topic: TOPIC, payload: { text } })
  }
  return { ...timed, client, lines, attacker, honest }
}

async function isListening(redis: Redis): Promise<void> {
  while ((await redis.pubsub('NUMSUB', CHANNEL))[1] !== 1);
}

if (needs(t, 'redis-server')) {
  const server = await RedisServer.start(t)

  for (const [channel, messages] of [[CHANNEL, TO_TOPIC] as const, [CONTROL, TO_CONTROL] as const]) {
    const name = channel === CONTROL ? 'the control channel' : 'the channel of a topic'
    t.test(`I9 forged and malformed messages on ${name} are ignored, and logged once`, async (t) => {
      const { client, lines, attacker, honest, clock } = await createScene(t, server)
      await honest('before')
      for (const message of messages) {
        const sent = Buffer.isBuffer(message) ? message : textOf(message)
        t.equal(await attacker.publish(channel, sent), 1, JSON.stringify(String(sent).slice(0, 60)))
      }
      await honest('after')
      t.equal(client.unread, 0)
      t.match(await client.request('echo', { text: 'alive' }), { type: '$reply', payload: { text: 'alive' } })
      const code = 'FST_WS_TICKET_BUS_MESSAGE_IGNORED'
      t.match(lines, [{ level: 40, code, ignored: 1, reason: String, msg: 'messages from the bus were ignored' }])
      t.equal(lines.length, 1, 'one line')
      clock.advance(60_000)
      t.match(lines[1], { level: 40, ignored: messages.length - 1 }, 'and how many more there were, a minute later')
      t.equal(lines.length, 2)
      t.notMatch(JSON.stringify(lines), /forged|another node/)
    })
  }

  t.test('I9 what is for routes, topics and users that are not here is no fault', async (t) => {
    const { client, lines, attacker, honest, clock } = await createScene(t, server)
    const frame = { ...event, topic: undefined }
    const messages = [
      sendOf(frame, { route: '/new' }),
      sendOf(frame, { route: '__proto__' }),
      sendOf({ ...frame, type: 'new' }, { target: { user: 'bob' } }),
      sendOf(frame, { target: { connection: '__proto__' } }),
      disconnectOf({ route: '/new' }),
      disconnectOf({ target: { user: 'bob' } }),
      disconnectOf({ target: { connection: 'constructor' } })
    ]
    for (const message of messages) await attacker.publish(CONTROL, textOf(message))
    await honest('after')
    clock.advance(60_000)
    t.same(lines, [])
    t.equal(client.unread, 0)
  })

  t.test('I9 clients see what was checked, whatever else a frame holds', async (t) => {
    const { client, attacker, honest } = await createScene(t, server)
    const twice = `{"type":"news","topic":"${TOPIC}","payload":{"text":7},"payload":{"text":"good"}}`
    await attacker.publish(CHANNEL, textOf(publishOf(twice)))
    const frame = await new Promise((resolve) => client.socket.once('message', resolve))
    t.equal(String(frame), `{"type":"news","topic":"${TOPIC}","payload":{"text":"good"}}`)
    await client.next()
    await honest('after')
  })

  t.test('I9 a flood of garbage does not keep honest messages away, nor fill the log', async (t) => {
    const { lines, attacker, honest } = await createScene(t, server)
    const garbage = textOf(publishOf({ ...event, payload: { text: 7 } }))
    const before = process.memoryUsage().heapUsed
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 1000 }, () => attacker.publish(CHANNEL, garbage)))
      await honest(`round ${round}`)
    }
    t.equal(lines.length, 1)
    t.ok(process.memoryUsage().heapUsed - before < 100_000_000)
  })
}
