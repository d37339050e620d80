import type { EventEmitter } from 'node:events'
import t, { type Test } from 'tap'
import { buildApp, echoContract, echoHandlers } from '../fixtures/app.js'
import { connect, listen } from '../fixtures/client.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { fragments, openRaw } from '../fixtures/frames.js'
import { Written } from '../fixtures/written.js'

/** An app whose sockets are known, and what is written to them. */
async function given(t: Test) {
  const app = await buildApp(t, { plugin: manyRequests })
  const transports: EventEmitter[] = []
  const sockets: EventEmitter[] = []
  app.server.on('connection', (transport) => transports.push(transport))
  app.websocketServer.on('connection', (socket) => sockets.push(socket))
  const written = new Written(app)
  const route = app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
  await listen(app)
  const open = async (sub: string) => {
    const client = await connect(t, app, '/echo', { claims: { sub } })
    await client.next()
    return client
  }
  return { app, route, transports, sockets, written, open }
}

function countTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
}

function countListeners(emitter: EventEmitter): Record<string, number> {
  return Object.fromEntries(emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)]))
}

/** Listeners that several emitters share count once. */
function countDistinct(emitters: EventEmitter[]): number {
  return new Set(emitters.flatMap((emitter) => emitter.eventNames().flatMap((name) => emitter.listeners(name)))).size
}

t.test('an open connection has no timer, few listeners, which all connections share', async (t) => {
  const { transports, sockets, open } = await given(t)
  await open('ann')
  const before = countTimers()
  await Promise.all(['bob', 'carl', 'dora'].map(open))
  t.equal(countTimers(), before)
  for (const socket of sockets) t.strictSame(countListeners(socket), { error: 1, message: 1, ping: 1, pong: 1, close: 2 })
  t.equal(transports.length, 4)
  t.equal(countDistinct(transports), countDistinct(transports.slice(0, 1)))
  // `ws` has a closure of its own, by which a server forgets a socket
  t.equal(countDistinct(sockets), 5 + sockets.length)
})

t.test('a whole text is handled without an event of its socket; one in fragments comes by its socket', async (t) => {
  const { app, sockets } = await given(t)
  const client = await openRaw(t, app, { path: '/echo' })
  let messages = 0
  for (const socket of sockets) {
    const { emit } = socket
    socket.emit = (event, ...values) => {
      if (event === 'message') messages++
      return Reflect.apply(emit, socket, [event, ...values])
    }
  }
  t.match(await client.request('echo', { text: 'whole' }), { payload: { text: 'whole' } })
  t.equal(messages, 0)
  client.write(...fragments('{"type":"echo","id":2,', '"payload":{"text":"in two"}}'))
  t.match(await client.next(), { payload: { text: 'in two' } })
  t.equal(messages, 1)
})

t.test('the 101 and $welcome leave in one write', async (t) => {
  const { written, open } = await given(t)
  await open('ann')
  const [first = '', ...others] = written.calls.map(({ chunks }) => chunks.map(String).join(''))
  t.match(first, /^HTTP\/1\.1 101 .*"\$welcome"/s)
  t.strictSame(others, [])
})

t.test('what is published is written to the members of its topic alone, and to each once', async (t) => {
  const { route, written, open } = await given(t)
  const [ann] = await Promise.all(['ann', 'bob', 'carl', 'dora'].map(open))
  const members = route.connections().filter(({ userId }) => userId === 'ann' || userId === 'bob')
  for (const member of members) await member.subscribe('some')
  written.clear()
  t.strictSame(route.publish('some', 'news', { text: 'for some' }), { delivered: 2 })
  t.match(await ann?.next(), { type: 'news', payload: { text: 'for some' } })
  t.equal(written.calls.length, 2)
  t.equal(new Set(written.calls.map(({ socket }) => socket)).size, 2)
})
