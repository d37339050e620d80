import { createServer } from 'node:http'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { portOf } from '../fixtures/client.js'
import { becomes, ClientWorld, type TestClient } from '../fixtures/client-world.js'
import { until } from '../fixtures/until.js'

const NO_TICKET = 'There was no ticket: is the server there, does `token` answer, does CORS pass, does a hook refuse it?'
const NO_WEBSOCKET = 'There was no WebSocket: is the server there, does the proxy pass Upgrade, does a hook refuse it?'

/** Closes the connection with this code from the server's side, and waits for what the client makes of it. */
async function closedWith(world: ClientWorld, client: TestClient, code: number): Promise<void> {
  const [connection] = world.route.connections()
  connection?.close(code)
  await until(() => client.status !== 'open')
}

/** As if the server had sent it. */
function tell(world: ClientWorld, frame: string): void {
  world.lastSocket.emit('message', Buffer.from(frame), false)
}

for (const code of [1000, 4400, 4403, 4409]) {
  t.test(`after ${code} it stops`, async (t) => {
    const world = await ClientWorld.start(t)
    const client = await world.openClient()
    await closedWith(world, client, code)
    t.equal(client.status, 'closed')
    t.match(world.reasons.at(-1), { code: 'DISCONNECTED', closeCode: code, isFinal: true })
    t.same(world.clock.delays, [])
    await t.rejects(client.send('echo', { text: 'x' }), { code: 'CLIENT_CLOSED', cause: { closeCode: code } })
  })
}

for (const [code, send] of [
  [1003, (world: ClientWorld) => world.lastSocket.send(Buffer.from('x'))],
  [1009, (world: ClientWorld) => world.lastSocket.send('x'.repeat(70_000))]
] as const) {
  t.test(`after ${code} it stops`, async (t) => {
    const world = await ClientWorld.start(t)
    const client = await world.openClient()
    send(world)
    await becomes(client, 'closed')
    t.match(world.reasons.at(-1), { closeCode: code })
  })
}

for (const code of [1001, 1012, 3000, 4401, 4408]) {
  t.test(`after ${code} it comes again with a new ticket`, async (t) => {
    const world = await ClientWorld.start(t)
    const client = await world.openClient()
    await closedWith(world, client, code)
    t.equal(client.status, 'waiting')
    t.match(world.reasons.at(-1), { code: 'DISCONNECTED', closeCode: code, isFinal: false })
    t.same(world.clock.delays, [500])
    world.clock.advance(500)
    t.equal(client.status, 'connecting')
    await becomes(client, 'open')
    t.same(world.ticketBodies, ['{}', '{}'])
    const [first, second] = world.sockets.map(({ protocol }) => protocol)
    t.same([first, second], ['fastify-ws-ticket.v1', 'fastify-ws-ticket.v1'])
  })
}

t.test('pauses grow until the server has welcomed it, up to a bound', async (t) => {
  const world = await ClientWorld.start(t)
  let isOnline = false
  const client = world.client({
    backoff: { max: 5000 },
    token: () => (isOnline ? world.app.jwt.sign({ sub: 'ann' }) : Promise.reject(new Error('offline')))
  })
  for (const pause of [500, 1000, 2000, 2500, 2500]) {
    await becomes(client, 'waiting')
    t.same(world.clock.delays, [pause])
    world.clock.advance(pause)
  }
  await becomes(client, 'waiting')
  isOnline = true
  world.clock.advance(2500)
  await becomes(client, 'open')
  world.lastSocket.terminate()
  await becomes(client, 'waiting')
  t.same(world.clock.delays, [500])
})

t.test('after failures that follow each welcome pauses grow too', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  for (const [code, pause] of [
    [1011, 500],
    [1013, 1000],
    [4429, 2000]
  ] as const) {
    await closedWith(world, client, code)
    t.same(world.clock.delays, [pause])
    world.clock.advance(pause)
    await becomes(client, 'open')
  }
})

t.test('after 4429 it waits for as long as it was told with the last error', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  await t.rejects(client.send('fail', { statusCode: 429 }), { code: 'REFUSED', retryAfter: 70_000 })
  await closedWith(world, client, 4429)
  t.same(world.clock.delays, [70_500])
  t.match(world.reasons.at(-1), { closeCode: 4429, retryAfter: 70_000 })
})

t.test('an attempt that takes too long is given up, whatever it waits for', async (t) => {
  const world = await ClientWorld.start(t)
  const signals: AbortSignal[] = []
  const client = world.client({
    fetch: (_url, { signal }) => {
      signals.push(signal)
      return new Promise(() => {})
    }
  })
  await until(() => signals.length === 1)
  world.clock.advance(10_000)
  t.equal(client.status, 'waiting')
  t.match(world.reasons.at(-1), { code: 'TIMEOUT', message: `No connection within 10000 ms. ${NO_TICKET}` })
  t.match(signals, [{ aborted: true }])
})

t.test('who waits for a token that does not come is told so, whichever time is over first', async (t) => {
  const world = await ClientWorld.start(t)
  const said = '`token` has not answered.'
  // the first that is asked for, and the one after that was refused
  for (const silent of [false, true]) {
    const asked: boolean[] = []
    const client = world.client({
      queueLimit: 2,
      token: ({ refused }) => {
        asked.push(refused)
        return refused === silent ? new Promise<never>(() => {}) : 'stale'
      }
    })
    await until(() => asked.includes(silent))
    const waiting = [client.send('echo', { text: '1' }, { timeout: 100 }), client.send('echo', { text: '2' }, { timeout: 15_000 })]
    const outcomes = Promise.allSettled(waiting)
    const cause = { code: 'DISCONNECTED', message: said, isFinal: false }
    await t.rejects(client.send('echo', { text: '3' }), { code: 'QUEUE_FULL', message: `2 messages wait already. ${said}`, cause })
    world.clock.advance(10_000)
    t.equal(client.status, 'waiting')
    const failed = `No connection within 10000 ms. ${said}`
    t.match(world.reasons.at(-1), { code: 'TIMEOUT', message: failed, isFinal: false })
    world.clock.advance(5000)
    const [soon, late] = await outcomes
    t.match(soon, { reason: { code: 'TIMEOUT', message: `No connection within 100 ms. ${said}`, mayHaveExecuted: false, cause } })
    t.match(late, { reason: { code: 'TIMEOUT', message: `No connection within 15000 ms. ${failed}`, cause: { code: 'TIMEOUT' } } })
    client.close()
  }
})

t.test('who waits for a first connection is told how far the attempt has come', async (t) => {
  const world = await ClientWorld.start(t)
  const asked: string[] = []
  const client = world.client({
    fetch: (url) => {
      asked.push(url)
      return new Promise(() => {})
    }
  })
  const late = client.send('echo', { text: '1' }, { timeout: 100 }).catch((error: unknown) => error)
  await until(() => asked.length === 1)
  world.clock.advance(100)
  t.match(await late, { code: 'TIMEOUT', message: `No connection within 100 ms. ${NO_TICKET}` })
})

t.test('a server that is away, and one that welcomes nobody, is tried again', async (t) => {
  const world = await ClientWorld.start(t)
  const deaf = createServer().listen(0, '127.0.0.1')
  t.teardown(() => {
    deaf.closeAllConnections()
    deaf.close()
  })
  deaf.on('upgrade', () => {})
  deaf.on('request', (_request, response) => response.writeHead(201).end('{"ticket":"t","protocols":["fastify-ws-ticket.v1"]}'))
  await until(() => deaf.listening)
  const address = deaf.address()
  const port = typeof address === 'object' ? address?.port : 0
  const client = world.client({ url: `ws://127.0.0.1:${port}/chat` })
  client.on('news', () => t.fail('it is not open yet'))
  await until(() => world.sockets.length === 1)
  tell(world, '{"type":"news","payload":{"text":"x"}}')
  t.same(world.clock.delays, [10_000], 'what comes before the welcome is no sign of life')
  world.clock.advance(10_000)
  t.equal(client.status, 'waiting')
  t.match(world.reasons.at(-1), { code: 'TIMEOUT', message: `No connection within 10000 ms. ${NO_WEBSOCKET}` })
  await until(() => world.sockets[0]?.readyState === 3)
  client.close()

  const refused = world.client({ url: `http://127.0.0.1:${portOf(world.app)}/nothing` })
  await becomes(refused, 'closed')
  t.match(world.reasons.at(-1), { statusCode: 404, isFinal: true })
})

t.test('a WebSocket that can not be made is an attempt that failed', async (t) => {
  const world = await ClientWorld.start(t)
  class Refused extends WebSocket {
    constructor(url: string) {
      super(`${url}#top`)
    }
  }
  const client = world.client({ WebSocket: Refused })
  await becomes(client, 'waiting')
  t.match(world.reasons.at(-1), { code: 'DISCONNECTED', message: NO_WEBSOCKET, cause: SyntaxError })
})

t.test('a WebSocket that tells of no end where it could not be opened, as on Node 22, is not waited for', async (t) => {
  const world = await ClientWorld.start(t)
  const cause = new Error('may hold a secret')
  for (const event of [undefined, {}, { error: cause }]) {
    class Mute {
      onmessage = () => {}
      onclose = () => {}
      onerror = (_event?: object) => {}
      constructor() {
        queueMicrotask(() => this.onerror(event))
      }
      send() {}
      close() {}
    }
    const client = world.client({ WebSocket: Mute })
    await becomes(client, 'waiting')
    const reason = world.reasons.at(-1)
    t.match(reason, { code: 'DISCONNECTED', closeCode: 1006, isFinal: false })
    t.equal(reason?.message, NO_WEBSOCKET, 'what it was told stays in the cause')
    t.equal(reason?.cause, event?.error)
    client.close()
  }
})

t.test('an error on an open connection says nothing that its end does not', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  world.lastSocket.emit('error', new Error('something'))
  t.equal(client.status, 'open')
  t.same(await client.send('echo', { text: 'x' }), { text: 'x' })
})

t.test('a server that welcomes a client again and again is greeted once', async (t) => {
  const world = await ClientWorld.start(t)
  let greetings = 0
  const client = await world.openClient({ onOpen: () => greetings++ })
  await client.send('echo', { text: 'x' })
  world.clock.advance(10_000)
  for (let i = 0; i < 3; i++) tell(world, '{"type":"$welcome","payload":{"connection":"x"}}')
  t.same(await client.send('echo', { text: 'x' }), { text: 'x' })
  t.equal(greetings, 1)
  t.same(world.statuses, ['open'])
})

t.test('what is said of a connection that was closed has the code and the reason', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  const answer = client.send('hold', { text: 'x' }).catch((error: unknown) => error)
  await until(() => world.handled.length === 1)
  world.route.connections()[0]?.close(4500, 'for a reason')
  await until(() => client.status !== 'open')
  const said = "The connection was closed with 4500 'for a reason'."
  t.match(await answer, { code: 'DISCONNECTED', message: `The connection was lost. ${said}`, cause: { message: said, closeCode: 4500 } })
  await world.release()
})

t.test('who waits in vain for a connection is told what the last attempt failed with', async (t) => {
  const world = await ClientWorld.start(t)
  // a proxy that passes no Upgrade: the server gets a GET
  const blind = createServer((request, response) => {
    response.writeHead(request.method === 'POST' ? 201 : 426).end('{"ticket":"t","protocols":["fastify-ws-ticket.v1"]}')
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    blind.closeAllConnections()
    blind.close()
  })
  await until(() => blind.listening)
  const address = blind.address()
  const client = world.client({
    url: `http://127.0.0.1:${Object(address).port}/chat`,
    queueLimit: 2,
    backoff: { min: 100_000, max: 100_000 }
  })
  const waiting = [client.send('echo', { text: '1' }, { timeout: 40_000 }), client.send('echo', { text: '2' }, { timeout: 90_000 })]
  const outcomes = Promise.allSettled(waiting)
  await becomes(client, 'waiting')
  // what ws says of it is told, but not in a message
  const answered = { name: 'Error', message: 'Unexpected server response: 426' }
  const cause = { code: 'DISCONNECTED', message: NO_WEBSOCKET, closeCode: 1006, isFinal: false, cause: answered }
  await t.rejects(client.send('echo', { text: '3' }), {
    code: 'QUEUE_FULL',
    message: `2 messages wait already. ${NO_WEBSOCKET}`,
    cause
  })
  world.clock.advance(40_000)
  client.close()
  const [late, closed] = await outcomes
  t.match(late, { reason: { code: 'TIMEOUT', message: `No connection within 40000 ms. ${NO_WEBSOCKET}`, mayHaveExecuted: false, cause } })
  const gone = { code: 'CLIENT_CLOSED', message: `The client was closed without a connection. ${NO_WEBSOCKET}`, cause }
  t.match(closed, { reason: { ...gone, mayHaveExecuted: false } })
  await t.rejects(client.send('echo', { text: '4' }), gone)
})

t.test('a connection that came after failures leaves nothing of them to be told', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  world.lastSocket.terminate()
  await becomes(client, 'waiting')
  world.clock.advance(500)
  await becomes(client, 'open')
  const late = client.send('hold', { text: 'x' }, { timeout: 100 }).catch((error: unknown) => error)
  await until(() => world.handled.length === 1)
  world.clock.advance(100)
  t.match(await late, { code: 'TIMEOUT', message: 'No answer within 100 ms.', cause: undefined })
  await world.release()
  const closed = client.send('hold', { text: 'y' }).catch((error: unknown) => error)
  await until(() => world.handled.length === 2)
  client.close()
  t.match(await closed, { code: 'CLIENT_CLOSED', message: 'The client was closed with a connection.', cause: undefined })
  await world.release()
})

t.test('frames that are none of the protocol are passed over', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  for (const frame of ['no JSON', 'null', '7', '{}', '{"type":1}']) tell(world, frame)
  for (const frame of ['{"type":"$reply"}', '{"type":"$reply","id":99}', '{"type":"$error"}']) tell(world, frame)
  t.same(await client.send('echo', { text: 'x' }), { text: 'x' })
})

t.test('a server that lies in the fields of its frames makes nothing throw', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  for (const lie of ['{"toString":1,"valueOf":1}', '[{"toString":1}]', '"1"', 'null', 'true']) {
    for (const type of ['$reply', '$error', 'news']) {
      tell(world, `{"type":"${type}","id":${lie}}`)
      tell(world, `{"type":"${type}","topic":${lie}}`)
    }
    tell(world, `{"type":"$error","payload":${lie}}`)
    for (const field of ['code', 'message', 'statusCode', 'retryAfter', 'errors', 'name', 'stack', '__proto__']) {
      tell(world, `{"type":"$error","payload":{"${field}":${lie}}}`)
    }
  }
  t.equal(client.status, 'open')
  t.same(await client.send('echo', { text: 'x' }), { text: 'x' })
})

t.test('of an error that a server tells, only what it may say is taken, and only where it is of its type', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  const told = async (id: number, payload: object) => {
    const answer = client.send('hold', { text: 'x' }).catch((error: unknown) => error)
    tell(world, JSON.stringify({ type: '$error', id, payload }))
    // the server's own answer comes too late
    await world.release()
    return await answer
  }
  const errors = [{ path: '/a', message: 'no' }]
  const honest = { code: 'A', message: 'b', statusCode: 503, retryAfter: 7, errors }
  t.match(await told(1, honest), { ...honest, mayHaveExecuted: true, isFinal: false })

  const evil = { name: 'Evil', stack: 'evil', isFinal: true, closeCode: 1, mayHaveExecuted: true, cause: 'evil', more: 1 }
  const error = await told(2, { code: 1, message: {}, statusCode: '503', retryAfter: '7', errors: 'evil', ...evil })
  t.match(error, { name: 'WsTicketError', code: '', message: '', statusCode: 0, isFinal: false, mayHaveExecuted: false })
  t.match(error, { retryAfter: undefined, errors: undefined, closeCode: undefined, cause: undefined, more: undefined, stack: /error\.ts/ })
})

t.test('a retryAfter that is no time to come is passed over, and none is longer than a day', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  for (const [retryAfter, wait, pause] of [
    ['{"a":1}', 0, 500],
    ['"7000"', 0, 1000],
    ['-7000', 0, 2000],
    ['null', 0, 4000],
    ['7000', 7000, 8000],
    ['1e12', 86_400_000, 15_000],
    ['1e999', 86_400_000, 15_000]
  ] as const) {
    tell(world, `{"type":"$error","payload":{"statusCode":429,"retryAfter":${retryAfter}}}`)
    await closedWith(world, client, 4429)
    t.same(world.clock.delays, [wait + pause], retryAfter)
    client.retry()
    t.same(world.clock.delays, [wait + 500], `${retryAfter}, woken`)
    world.clock.advance(wait + 500)
    await becomes(client, 'open')
  }
})

t.test('a connection on which nothing comes any more is noticed', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  world.clock.advance(20_000)
  await client.send('note', { text: 'x' })
  world.clock.advance(29_999)
  t.same(world.clock.delays, [1])
  const [connection] = world.route.connections()
  world.clock.advance(1)
  t.equal(client.status, 'open')
  await until(() => world.clock.delays.length === 1)
  world.clock.advance(10_000)
  t.equal(client.status, 'open', 'it was answered')

  world.lastSocket.pause()
  world.clock.advance(20_000)
  t.same(world.clock.delays, [10_000, 30_000], 'it asks')
  world.clock.advance(10_000)
  t.equal(client.status, 'waiting')
  t.match(world.reasons.at(-1), { code: 'DISCONNECTED', message: 'No answer within 10000 ms.', isFinal: false })
  t.ok(connection)
})

t.test('a connection that dies without a word has gone well before', async (t) => {
  const world = await ClientWorld.start(t)
  const client = world.client({
    token: () => (world.statuses.length > 0 ? world.app.jwt.sign({ sub: 'ann' }) : Promise.reject(new Error('offline')))
  })
  await becomes(client, 'waiting')
  world.clock.advance(500)
  await becomes(client, 'open')
  world.lastSocket.pause()
  world.clock.advance(40_000)
  t.equal(client.status, 'waiting')
  t.same(world.clock.delays, [500], 'so the pauses begin anew')
})

/** A page, or what there is of one in its events. */
class Page extends EventTarget {
  hidden = true

  tell(type: string): void {
    this.dispatchEvent(new Event(type))
  }
}

function withPage(t: Test): { window: Page; document: Page } {
  const window = new Page()
  const document = new Page()
  Object.assign(globalThis, {
    document,
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window)
  })
  t.teardown(() => {
    for (const name of ['document', 'addEventListener', 'removeEventListener']) Reflect.deleteProperty(globalThis, name)
  })
  return { window, document }
}

t.test('the network that is back, and the page that is looked at, wake it, but not before it may come', async (t) => {
  const { window, document } = withPage(t)
  const world = await ClientWorld.start(t)
  let retryAfter = '0'
  const client = world.client({
    backoff: { min: 4000 },
    fetch: async () => new Response('{}', { status: 503, headers: { 'retry-after': retryAfter } })
  })
  await becomes(client, 'waiting')
  world.clock.advance(2000)
  await becomes(client, 'waiting')
  t.same(world.clock.delays, [4000])
  document.tell('visibilitychange')
  window.tell('offline')
  t.same(world.clock.delays, [4000], 'hidden')
  document.hidden = false
  document.tell('visibilitychange')
  t.same(world.clock.delays, [2000])
  retryAfter = '60'
  window.tell('online')
  world.clock.advance(2000)
  t.equal(client.status, 'connecting')
  window.tell('online')
  t.same(world.clock.delays, [10_000], 'one attempt at a time')
  await becomes(client, 'waiting')
  window.tell('online')
  t.same(world.clock.delays, [62_000])
  client.close()
  window.tell('online')
  t.same(world.clock.delays, [])
})

t.test('a user who does not want to wait makes it try soon, though not before the server wants it', async (t) => {
  const world = await ClientWorld.start(t)
  const client = await world.openClient({ backoff: { min: 4000 } })
  client.retry()
  t.equal(client.status, 'open', 'where there is a connection nothing changes')
  for (const [code, pause] of [
    [1012, 2000],
    [1011, 4000]
  ] as const) {
    await closedWith(world, client, code)
    t.same(world.clock.delays, [pause])
    client.retry()
    t.same(world.clock.delays, [2000])
    world.clock.advance(2000)
    await becomes(client, 'open')
  }
  client.close()
  client.retry()
  t.same(world.clock.delays, [])
})

t.test('a network that changes makes it ask at once whether the server is there', async (t) => {
  const { window } = withPage(t)
  const world = await ClientWorld.start(t)
  const client = await world.openClient()
  world.lastSocket.pause()
  window.tell('offline')
  window.tell('online')
  t.same(world.clock.delays, [10_000, 30_000], 'and once only')
  world.clock.advance(10_000)
  t.equal(client.status, 'waiting')
})
