import { once } from 'node:events'
import t, { type Test } from 'tap'
import Type from 'typebox'
import { defineContract, type RouteLimits } from '../../src/index.js'
import { buildApp } from '../fixtures/app.js'
import { type Client, connectInjected } from '../fixtures/client.js'
import { ManualClock } from '../fixtures/manual-clock.js'

const contract = defineContract({
  messages: {
    ask: { payload: Type.Unknown(), reply: Type.Unknown() },
    strictly: { payload: Type.Unknown(), reply: Type.Object({ n: Type.Number() }) },
    tell: { payload: Type.Unknown() }
  }
})

type Answer = (payload: unknown) => unknown

interface Given {
  readonly client: Client
  readonly clock: ManualClock
  readonly logged: string[]
}

/** A connection whose messages are all answered by that function. */
async function given(t: Test, answer: Answer, limits: RouteLimits = {}): Promise<Given> {
  const clock = new ManualClock()
  const logged: string[] = []
  const logger = { level: 'error', stream: { write: (line: string) => logged.push(line) } }
  const app = await buildApp(t, { plugin: { clock }, server: { logger } })
  // as JavaScript may, with handlers that answer what their types forbid
  Reflect.apply(app.wsRoute, app, ['/chat', { ...limits, contract, handlers: { ask: answer, strictly: answer, tell: answer } }])
  await app.ready()
  const client = await connectInjected(app, '/chat')
  t.teardown(() => client.socket.terminate())
  await client.next()
  return { client, clock, logged }
}

const FAILED = {
  type: '$error',
  payload: { code: 'FST_WS_TICKET_HANDLER_FAILED', statusCode: 500, message: 'The server failed to handle the message.' }
}

/** Waits until the server has seen all that the client sent. */
async function flushed(client: Client): Promise<void> {
  client.socket.ping()
  await once(client.socket, 'pong')
}

function raise(error: unknown): never {
  throw error
}

t.test('what a handler returns is the payload of the reply', async (t) => {
  const { client } = await given(t, (payload) => payload)
  for (const payload of [null, 0, '', 'text', [1], { a: { b: 1 } }]) {
    t.same(await client.request('ask', payload, 3), { type: '$reply', id: 3, payload })
  }
})

t.test('a handler that returns nothing is answered with null, also where its contract has no reply', async (t) => {
  const { client } = await given(t, () => undefined)
  t.same(await client.request('ask', 1, 1), { type: '$reply', id: 1, payload: null })
  t.same(await client.request('tell', 1, 2), { type: '$reply', id: 2, payload: null })
})

t.test('G10 handlers that throw or reject are answered with 500 without internals, and the slot is freed', async (t) => {
  const answers: [string, Answer][] = [
    ['throws', () => raise(new Error('secret: /etc/passwd'))],
    ['rejects', () => Promise.reject(new Error('secret: /etc/passwd'))],
    ['throws a text', () => raise('secret')],
    ['throws nothing', () => raise(undefined)],
    ['throws an error of the server', () => raise(Object.assign(new Error('secret'), { statusCode: 502, code: 'SECRET' }))]
  ]
  for (const [name, answer] of answers) {
    const { client, logged } = await given(t, answer)
    t.same(await client.request('ask', 1, 1), { ...FAILED, id: 1 }, name)
    t.same(await client.request('ask', 1, 2), { ...FAILED, id: 2 }, `${name}, twice`)
    t.equal(logged.filter((line) => line.includes('a message could not be handled')).length, 2)
  }
})

t.test('G10 what traces messages may reject with errors that can not be told: answered, logged and counted once', async (t) => {
  const lines: string[] = []
  const odd = () => Object.defineProperty(Object.assign(new Error('x'), { statusCode: 400 }), 'code', { get: () => raise(new Error('y')) })
  const logger = { level: 'error', stream: { write: (line: string) => lines.push(line) } }
  const app = await buildApp(t, { plugin: { traceMessage: () => Promise.reject(odd()) }, server: { logger } })
  app.wsRoute('/chat', { contract, handlers: { ask: () => 1, strictly: () => ({ n: 1 }), tell: () => {} } })
  await app.ready()
  const client = await connectInjected(app, '/chat')
  t.teardown(() => client.socket.terminate())
  await client.next()
  for (const id of [1, 2]) t.same(await client.request('ask', 1, id), { ...FAILED, id })
  t.equal(lines.length, 2)
  const { outcomes } = app.wsTicket.stats().totals.routes['/chat']?.messages.ask ?? {}
  t.same(outcomes, { FST_WS_TICKET_HANDLER_FAILED: 2 })
})

t.test('G10 an error that a handler means for the client is told and not logged', async (t) => {
  const error = Object.assign(new Error('no such room'), { statusCode: 404, code: 'ROOM_UNKNOWN', retryAfterMs: 1500 })
  const { client, logged } = await given(t, () => raise(error))
  const payload = { code: 'ROOM_UNKNOWN', statusCode: 404, message: 'no such room', retryAfter: 1500 }
  t.same(await client.request('ask', 1, 1), { type: '$error', id: 1, payload })
  t.same(logged, [])
})

t.test('an error of a message without an id is told without one', async (t) => {
  const { client } = await given(t, () => raise(new Error('x')))
  client.send({ type: 'ask' })
  t.same(await client.next(), FAILED)
})

t.test('a reply to a message without an id is not sent', async (t) => {
  const { client } = await given(t, (payload) => payload)
  client.send({ type: 'strictly', payload: 'a reply that would not match' })
  t.same(await client.request('ask', 2, 2), { type: '$reply', id: 2, payload: 2 })
  t.equal(client.unread, 0)
})

t.test('G10 a handler that never settles is answered with 503 in time, and what it answers later is dropped', async (t) => {
  const settle: ((value: unknown) => void)[] = []
  const { client, clock } = await given(t, () => new Promise((resolve) => settle.push(resolve)), { handlerTimeout: '2 seconds' })
  client.send({ type: 'ask', id: 1 })
  client.send({ type: 'ask', id: 2 })
  await flushed(client)
  t.equal(settle.length, 1)
  clock.advance(1750)
  t.equal(client.unread, 0)
  clock.advance(250)
  t.match(await client.next(), { type: '$error', id: 1, payload: { code: 'FST_WS_TICKET_HANDLER_TIMEOUT', statusCode: 503 } })
  t.equal(settle.length, 2, 'the next one has started')
  settle[0]?.('too late')
  settle[1]?.('in time')
  t.same(await client.next(), { type: '$reply', id: 2, payload: 'in time' })
  t.equal(client.unread, 0)
})

t.test('with one in flight, answers come in the order of the messages', async (t) => {
  const settle = new Map<unknown, () => void>()
  const { client } = await given(t, (payload) => new Promise((resolve) => settle.set(payload, () => resolve(payload))))
  for (const id of [1, 2, 3]) client.send({ type: 'ask', id, payload: id })
  await flushed(client)
  t.same([...settle.keys()], [1])
  for (const id of [1, 2, 3]) {
    settle.get(id)?.()
    t.same(await client.next(), { type: '$reply', id, payload: id })
  }
})

t.test('with four in flight, four run at a time', async (t) => {
  const settle = new Map<unknown, () => void>()
  const { client } = await given(t, (payload) => new Promise((resolve) => settle.set(payload, () => resolve(payload))), { inFlight: 4 })
  for (const id of [1, 2, 3, 4, 5]) client.send({ type: 'ask', id, payload: id })
  await flushed(client)
  t.same([...settle.keys()], [1, 2, 3, 4])
  for (const id of [3, 1, 5, 2, 4]) {
    settle.get(id)?.()
    t.same(await client.next(), { type: '$reply', id, payload: id })
  }
})

t.test('H8 what waits is bounded; one more is refused and the others are handled', async (t) => {
  const settle: (() => void)[] = []
  const { client } = await given(t, (payload) => new Promise((resolve) => settle.push(() => resolve(payload))), { maxQueued: 2 })
  for (const id of [1, 2, 3, 4]) client.send({ type: 'ask', id, payload: id })
  t.match(await client.next(), { type: '$error', id: 4, payload: { code: 'FST_WS_TICKET_TOO_MANY_IN_FLIGHT', statusCode: 429 } })
  for (const id of [1, 2, 3]) {
    settle[id - 1]?.()
    t.same(await client.next(), { type: '$reply', id, payload: id })
  }
  t.equal(settle.length, 3)
})

t.test('G11 a reply that does not match its schema is never sent, and logged', async (t) => {
  for (const reply of [{ n: 'secret' }, { n: 1, secret: 1 }, {}, null, undefined, 'secret', Number.NaN]) {
    const { client, logged } = await given(t, () => reply)
    t.same(await client.request('strictly', 1, 1), { ...FAILED, id: 1 }, JSON.stringify(reply))
    t.match(logged.join(''), /the reply does not match its schema/)
  }
})

t.test('G11 where the contract has no reply, nothing that the handler returns is sent', async (t) => {
  const { client } = await given(t, () => 'secret')
  t.same(await client.request('tell', 1, 1), { type: '$reply', id: 1, payload: null })
})

t.test('G12 replies that are circular, no JSON or huge are caught', async (t) => {
  const circular: { self?: unknown } = {}
  circular.self = circular
  const thrower = { toJSON: () => raise(new Error('secret')) }
  for (const reply of [circular, 10n, thrower, 'x'.repeat(2000), 'ä'.repeat(600)]) {
    const { client, logged } = await given(t, (payload) => (payload === 'bad' ? reply : payload), { maxBuffered: 1024 })
    t.same(await client.request('ask', 'bad', 1), { ...FAILED, id: 1 })
    t.equal(logged.length, 1)
    t.same(await client.request('ask', 'good', 2), { type: '$reply', id: 2, payload: 'good' })
  }
})

t.test('a reply of as many bytes as may be buffered is sent, whatever its characters', async (t) => {
  const { client } = await given(t, (payload) => payload, { maxBuffered: 1024 })
  const room = 1024 - Buffer.byteLength('{"type":"$reply","id":1,"payload":""}')
  for (const payload of ['x'.repeat(room), 'ä'.repeat(room / 2), '€'.repeat(room / 3)]) {
    t.same(await client.request('ask', payload, 1), { type: '$reply', id: 1, payload })
  }
  t.same(await client.request('ask', 'x'.repeat(room + 1), 1), { ...FAILED, id: 1 })
})

t.test('G8 what a handler answers after the connection is closed goes nowhere', async (t) => {
  let settle: (value: unknown) => void = () => {}
  const { client, logged } = await given(t, () => new Promise((resolve) => (settle = resolve)))
  client.send({ type: 'ask', id: 1 })
  await flushed(client)
  client.socket.terminate()
  await client.closed
  settle('too late')
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(client.unread, 0)
  t.same(logged, [])
})
