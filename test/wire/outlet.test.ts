import { type EventEmitter, once } from 'node:events'
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fastifyJwt from '@fastify/jwt'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import Type from 'typebox'
import { type Connection, defineContract, wsTicket } from '../../src/index.js'
import { Batch, SharedFrame } from '../../src/wire/shared-frame.js'
import { frameBytes, frameText, headerOf } from '../../src/wire/text-frame.js'
import { Turn } from '../../src/wire/turn.js'
import { JWT_SECRET, ORIGIN } from '../fixtures/app.js'
import { type Client, connect, type Frame, listen } from '../fixtures/client.js'
import { Closings } from '../fixtures/closings.js'
import { closeFrame, frame, messageFrame, Opcode, openRaw, parseFrame, type RawClient } from '../fixtures/frames.js'
import { captureLog } from '../fixtures/log.js'
import { until } from '../fixtures/until.js'
import { Written } from '../fixtures/written.js'

const text = Type.Object({ text: Type.String() })
const contract = defineContract({
  messages: {
    now: { payload: text, reply: text },
    later: { payload: text, reply: text },
    tell: { payload: text },
    flood: { payload: text },
    leave: { payload: text }
  },
  events: { news: text }
})
const PATH = '/frames'
const BIG = 'x'.repeat(40_000)
const plenty = { max: 1_000_000, timeWindow: 1000 }

/** An app that tells `news` to all who are connected, and lets whoever offers it compress. */
async function given(t: Test) {
  const { logger, lines } = captureLog('error')
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  const transports: Socket[] = []
  app.server.on('connection', (transport) => transports.push(transport))
  const closings = new Closings()
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  await app.register(fastifyWebsocket, { options: { perMessageDeflate: { threshold: 0 } } })
  await app.register(wsTicket, { allowedOrigins: [ORIGIN], rateLimit: plenty, inFlight: 64 })
  const route = app.wsRoute(PATH, {
    contract,
    handlers: {
      now: ({ text }) => ({ text }),
      later: async ({ text }) => ({ text: await text }),
      tell: ({ text }) => tell(text),
      flood() {
        tell(BIG)
        tell(BIG)
      },
      leave({ text }, connection: Connection) {
        tell(text)
        connection.close(4000, 'left')
      }
    },
    onOpen: (connection) => connection.subscribe('all'),
    onClose: closings.onClose
  })
  const tell = (text: string) => void route.publish('all', 'news', { text })
  const written = new Written(app)
  await listen(app)
  /** Opens a connection; its socket here comes with it. */
  const open = async (sub: string) => {
    const client = await openRaw(t, app, { path: PATH, request: { claims: { sub } } })
    const transport = transports.find(({ remotePort }) => remotePort === client.raw.socket.localPort)
    if (!transport) throw new Error('the server does not know this socket')
    return { client, transport }
  }
  return { app, tell, written, open, closings, lines }
}

const told = ({ type, id, payload }: Frame) => `${id ?? type} ${Reflect.get(Object(payload), 'text')}`

async function nextOf(client: Client | RawClient, count: number): Promise<string[]> {
  const frames: string[] = []
  while (frames.length < count) frames.push(told(await client.next()))
  return frames
}

const message = (type: string, id: number, text = 'a') => messageFrame({ type, id, payload: { text } })

for (const type of ['now', 'later']) {
  t.test(`the replies to what was read at once are one write, whether handled ${type}`, async (t) => {
    const { app, written } = await given(t)
    const client = await openRaw(t, app, { path: PATH })
    written.clear()
    client.write(...Array.from({ length: 16 }, (_, id) => message(type, id, `${id}`)))
    t.same(
      await nextOf(client, 16),
      Array.from({ length: 16 }, (_, id) => `${id} ${id}`)
    )
    t.equal(written.calls.length, 1)
  })
}

t.test('what is published in one turn is one write for each connection, and put together once for all', async (t) => {
  const { app, tell, written } = await given(t)
  const clients = await Promise.all(
    Array.from({ length: 20 }, (_, i) => openRaw(t, app, { path: PATH, request: { claims: { sub: `user ${i}` } } }))
  )
  for (const texts of [['one'], Array.from({ length: 8 }, (_, i) => `${i}`)]) {
    written.clear()
    for (const text of texts) tell(text)
    t.equal(written.calls.length, 0, 'nothing leaves before the turn ends')
    for (const client of clients)
      t.same(
        await nextOf(client, texts.length),
        texts.map((text) => `news ${text}`)
      )
    t.equal(new Set(written.calls.map(({ socket }) => socket)).size, clients.length)
    t.equal(written.calls.length, clients.length)
    t.equal(new Set(written.calls.flatMap(({ chunks }) => chunks)).size, 1)
  }
})

t.test('H6 a pong that waits keeps nothing of what was read with its ping', async (t) => {
  const { app, written } = await given(t)
  app.websocketServer.once('connection', (socket) => process.nextTick(() => socket.pong('of the app')))
  const client = await openRaw(t, app, { path: PATH })
  const data = Buffer.from('of the client')
  client.write(frame({ opcode: Opcode.ping, payload: data }), message('now', 1, 'x'.repeat(2000)))
  await nextOf(client, 1)
  const pongs = client.unread.filter(({ opcode }) => opcode === Opcode.pong).map(({ payload }) => payload.toString())
  t.same(pongs, ['of the app', 'of the client'])
  const [kept] = written.calls.flatMap(({ chunks }) => chunks).filter((chunk) => Buffer.isBuffer(chunk) && chunk.equals(data))
  t.ok(Buffer.isBuffer(kept))
  t.equal(Object(kept).buffer.byteLength, data.length)
})

t.test('events and replies of one turn keep their order, with and without compression', async (t) => {
  const { app, tell, written } = await given(t)
  const raw = await openRaw(t, app, { path: PATH })
  written.clear()
  raw.write(message('now', 1, 'a'), message('tell', 2, 'b'), message('now', 3, 'c'), message('tell', 4, BIG))
  t.same(await nextOf(raw, 6), ['1 a', 'news b', '2 undefined', '3 c', `news ${BIG}`, '4 undefined'])
  t.equal(written.calls.length, 1)
  raw.write(message('tell', 5, 'd'), message('now', 6, 'e'))
  t.same(await nextOf(raw, 3), ['news d', '5 undefined', '6 e'])

  const client = await connect(t, app, PATH)
  await client.next()
  t.match(client.socket.extensions, /permessage-deflate/)
  const due: string[] = []
  for (let id = 0; id < 20; id++) {
    const text = id % 3 === 0 ? BIG : `${id}`
    tell(text)
    client.send({ type: 'tell', id, payload: { text } })
    due.push(`news ${text}`, `${id} undefined`)
  }
  const frames = await nextOf(client, 60)
  t.same(
    frames.slice(0, 20),
    due.filter((frame) => frame.startsWith('news')),
    'first what was published before anything was read'
  )
  t.same(frames.slice(20), due)
})

t.test('H7 no more than 64 KiB are held back, so that a slow reader is told from a busy turn', async (t) => {
  const { app, tell, written } = await given(t)
  const client = await openRaw(t, app, { path: PATH })
  written.clear()
  const lengths: number[] = []
  for (let i = 0; i < 4; i++) {
    tell(BIG)
    lengths.push(written.calls.length)
  }
  t.same(lengths, [0, 1, 1, 2])
  t.equal((await nextOf(client, 4)).length, 4)
  written.clear()
  client.write(message('now', 1, BIG))
  client.write(message('now', 2, BIG), message('now', 3, BIG))
  t.same(
    (await nextOf(client, 3)).map((frame) => frame.slice(0, 3)),
    ['1 x', '2 x', '3 x']
  )
  t.ok(written.calls.length >= 2)
  written.clear()
  client.write(message('now', 4, 'ä'), message('flood', 5), message('now', 6, 'ä'))
  t.same(await nextOf(client, 5), ['4 ä', `news ${BIG}`, `news ${BIG}`, '5 undefined', '6 ä'])
  t.equal(written.calls.length, 2)
})

t.test('what was published comes before the close frame, and nothing behind it', async (t) => {
  const { app } = await given(t)
  const client = await openRaw(t, app, { path: PATH })
  client.write(message('leave', 1, 'last'))
  t.same(await nextOf(client, 1), ['news last'])
  t.same(await client.closed, { code: 4000, reason: 'left' })
  client.raw.socket.end(closeFrame(4000))
  await client.raw.ended
  t.same(
    client.unread.map(({ opcode }) => opcode),
    [Opcode.close]
  )
})

t.test('a peer that says something and closes is answered in that order, and nothing follows the close frame', async (t) => {
  const { app } = await given(t)
  const client = await openRaw(t, app, { path: PATH })
  client.write(message('now', 1, 'a'), message('later', 2, 'b'), closeFrame(1000))
  t.same(await nextOf(client, 1), ['1 a'])
  await client.raw.ended
  t.same(
    client.unread.map(({ opcode }) => opcode),
    [Opcode.close]
  )

  const [teller, breaker] = [await openRaw(t, app, { path: PATH }), await openRaw(t, app, { path: PATH })]
  teller.write(messageFrame({ type: 'tell', payload: { text: 'a' } }), closeFrame(1000))
  t.same(await nextOf(teller, 1), ['news a'])
  await teller.raw.ended
  t.same(await nextOf(breaker, 1), ['news a'])
  // what breaks the protocol is told at once, and nothing else any more
  breaker.write(messageFrame({ type: 'tell', payload: { text: 'b' } }), frame({ rsv: 7 }))
  await breaker.raw.ended
  for (const { unread } of [teller, breaker]) {
    t.same(
      unread.map(({ opcode }) => opcode),
      [Opcode.close]
    )
  }
})

t.test('a connection adds no more listeners than these, and all connections have the same ones', async (t) => {
  const { app } = await given(t)
  const sockets: EventEmitter[][] = []
  app.websocketServer.on('connection', (socket, { socket: transport }) => sockets.push([socket, transport]))
  await openRaw(t, app, { path: PATH })
  await openRaw(t, app, { path: PATH })
  const [counts, others] = sockets.map((pair) => pair.map(countListeners))
  // one of close is by ws, which keeps the list of its clients
  t.same(counts, [
    { close: 2, error: 1, message: 1, ping: 1, pong: 1 },
    { close: 1, data: 1, end: 2, error: 1 }
  ])
  t.same(others, counts)
  const [[one, oneTransport] = [], [two, twoTransport] = []] = sockets
  for (const event of ['error', 'message', 'ping', 'pong']) t.equal(one?.listeners(event)[0], two?.listeners(event)[0], event)
  t.ok(oneTransport?.listeners('data').every((listener, i) => listener === twoTransport?.listeners('data')[i]))
})

function countListeners(emitter: EventEmitter): Record<string, number> {
  return Object.fromEntries(emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)]))
}

t.test('a frame says the length of its text in as few bytes as it takes', async (t) => {
  const texts = ['', 'x'.repeat(125), 'x'.repeat(126), 'ä\u{1F600}'.repeat(30), 'x'.repeat(65_535), 'x'.repeat(65_536)]
  const headers = [2, 2, 4, 4, 4, 10]
  for (const [i, text] of texts.entries()) {
    const bytes = frameText(text)
    t.same(parseFrame(bytes), {
      frame: { fin: true, rsv: 0, opcode: Opcode.text, masked: false, payload: Buffer.from(text) },
      rest: Buffer.alloc(0)
    })
    const length = Buffer.byteLength(text)
    t.equal(bytes.length - length, headers[i])
    t.same(Buffer.from(headerOf(length), 'latin1'), bytes.subarray(0, headers[i]))
    t.same(frameBytes(Buffer.from(text)), bytes)
  }
})

t.test('connections that get the same frames in the same order share them', async (t) => {
  const [a, b, c] = ['a', 'b', 'c'].map((text) => new SharedFrame(Buffer.from(text)))
  if (!a || !b || !c) return
  const all = a.batch.followedBy(b).followedBy(c)
  t.equal(a.batch.followedBy(b).followedBy(c), all)
  t.same(all.bytes, Buffer.concat([a.bytes, b.bytes, c.bytes]))
  t.equal(all.bytes, all.bytes)
  t.equal(all.length, all.bytes.length)
  t.equal(a.batch.bytes, a.bytes)
  const other = a.batch.followedBy(c)
  t.not(other, a.batch.followedBy(b))
  t.same(other.bytes, new Batch(c, new Batch(a)).bytes)
})

/** Lets the method of a socket throw from now on. */
function spoil(socket: object, method: 'write' | 'uncork' | 'send', error: Error): void {
  Object.assign(socket, {
    [method]: () => {
      throw error
    }
  })
}

const FAILURES = [
  { method: 'write', text: 'a', when: 'with the others of a turn' },
  { method: 'write', text: 'ä', when: 'at once' },
  { method: 'uncork', text: 'ä', when: 'when a turn ends' }
] as const

for (const { method, text, when } of FAILURES) {
  t.test(`a socket whose ${method} throws ${when} is closed, and takes nothing from the others`, async (t) => {
    const { app, tell, open, closings, lines } = await given(t)
    const [bad, good] = [await open('bad'), await open('good')]
    const error = new Error('this socket cannot be written to')
    spoil(bad.transport, method, error)
    bad.client.write(message('now', 1, text))
    t.match(await closings.count(1), [{ code: 1006, connection: { userId: 'bad' } }])
    t.match(lines, [{ msg: 'a connection could not be written to', err: { message: error.message } }])
    t.match(await good.client.request('now', { text: 'still answered' }), { payload: { text: 'still answered' } })
    tell('to all')
    t.same(await nextOf(good.client, 1), ['news to all'])
    const late = await openRaw(t, app, { path: PATH })
    t.match(await late.request('now', { text: 'let in' }), { payload: { text: 'let in' } })
  })
}

t.test('a socket that throws while it is published to, or compressed for, takes nothing from the others', async (t) => {
  const { app, tell, open, closings, lines } = await given(t)
  const [bad, good] = [await open('bad'), await open('good')]
  const error = new Error('this socket cannot be written to')
  spoil(bad.transport, 'write', error)
  for (const text of [BIG, BIG]) tell(text)
  t.same(await nextOf(good.client, 2), [`news ${BIG}`, `news ${BIG}`])
  await closings.count(1)

  const opened = once(app.websocketServer, 'connection')
  const client = await connect(t, app, PATH, { claims: { sub: 'compressing' } })
  await client.next()
  const [socket] = await opened
  spoil(socket, 'send', error)
  tell('compressed')
  t.same(await nextOf(good.client, 1), ['news compressed'])
  t.match(await closings.count(2), [{ connection: { userId: 'bad' } }, { connection: { userId: 'compressing' } }])
  t.equal(lines.length, 2)
  t.match(await good.client.request('now', { text: 'a' }), { type: '$reply' })
})

t.test(
  'H7 what lies for a slow reader keeps nothing else in memory: no part of a pool, and one text for all it is joined of',
  async (t) => {
    const { tell, open } = await given(t)
    const { client, transport } = await open('slow')
    client.raw.socket.pause()
    const due: string[] = []
    const publish = async (text: string) => {
      tell(text)
      due.push(`news ${text}`)
      await nextTurn()
    }
    while (transport.writableLength === 0) await publish(BIG)
    const chunks: unknown[] = []
    const { write } = transport
    t.teardown(() => Object.assign(transport, { write }))
    Object.assign(transport, {
      write: (chunk: unknown, ...others: unknown[]) => {
        chunks.push(chunk)
        return Reflect.apply(write, transport, [chunk, ...others])
      }
    })
    await publish('small')
    await publish('ä')
    await publish(BIG)
    client.write(message('now', 1, 'a'), message('now', 2, 'b'))
    await until(() => chunks.length === 4)
    client.write(message('now', 3, 'ä'), message('tell', 4, 'c'))
    await until(() => chunks.length === 7)
    due.push('1 a', '2 b', '3 ä', 'news c', '4 undefined')
    t.same(
      chunks.map((chunk) => (Buffer.isBuffer(chunk) ? chunk.buffer.byteLength - chunk.length : typeof chunk)),
      ['string', 'string', 0, 'string', 'string', 'string', 'string'],
      'what is large is still one for all'
    )
    client.raw.socket.resume()
    t.same(await nextOf(client, due.length), due)
  }
)

t.test('what is held back is let out once, also what comes while others are let out', async (t) => {
  const ends: (() => void)[] = []
  const released: string[] = []
  const turn = new Turn((end) => ends.push(end))
  const held = (name: string, then = () => {}) => ({
    release() {
      released.push(name)
      then()
    }
  })
  turn.add(held('a', () => turn.add(held('c'))))
  turn.add(held('b'))
  for (const end of ends) end()
  t.same([ends.length, ...released], [1, 'a', 'b', 'c'])
  turn.add(held('d'))
  t.equal(ends.length, 2)
})

t.test('one that throws when it is let out keeps nobody else back, also who comes meanwhile', async (t) => {
  const ends: (() => void)[] = []
  const released: string[] = []
  const turn = new Turn((end) => ends.push(end))
  const held = (name: string) => ({ release: () => void released.push(name) })
  const failing = {
    release() {
      turn.add(held('c'))
      throw new Error('it cannot be let out')
    }
  }
  for (const one of [held('a'), failing, held('b')]) turn.add(one)
  t.throws(() => ends[0]?.(), { message: 'it cannot be let out' })
  t.equal(ends.length, 2)
  ends[1]?.()
  t.same(released, ['a', 'b', 'c'])
  turn.add(held('d'))
  t.equal(ends.length, 3)
  ends[2]?.()
  t.same(released, ['a', 'b', 'c', 'd'])
})
