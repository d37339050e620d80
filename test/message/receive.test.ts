import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import Type from 'typebox'
import { defineContract, type RouteLimits } from '../../src/index.js'
import { buildApp } from '../fixtures/app.js'
import { type Client, connect, connectInjected, type Frame, listen } from '../fixtures/client.js'
import { ManualClock } from '../fixtures/manual-clock.js'

const contract = defineContract({
  messages: {
    echo: {
      payload: Type.Object({ text: Type.String({ maxLength: 10 }), n: Type.Optional(Type.Number()) }),
      reply: Type.Object({ text: Type.String() })
    },
    picky: { payload: Type.Refine(Type.Object({}), () => raise()) },
    any: { payload: Type.Unknown() }
  }
})

function raise(): never {
  throw new Error('a secret of the check')
}

interface Given {
  readonly app: FastifyInstance
  readonly client: Client
  readonly clock: ManualClock
  /** The texts that reached the handler. */
  readonly handled: string[]
  readonly logged: string[]
}

/** A connection without a port that has been welcomed. */
function given(t: Test, limits: RouteLimits = {}): Promise<Given> {
  return welcomed(t, limits, async (app) => {
    await app.ready()
    const client = await connectInjected(app, '/chat')
    t.teardown(() => client.socket.terminate())
    return client
  })
}

/** A connection over a real socket, whose end the client sees at once. */
function givenSocket(t: Test, limits: RouteLimits = {}): Promise<Given> {
  return welcomed(t, limits, async (app) => {
    await listen(app)
    return await connect(t, app, '/chat')
  })
}

async function welcomed(t: Test, limits: RouteLimits, open: (app: FastifyInstance) => Promise<Client>): Promise<Given> {
  const clock = new ManualClock()
  const handled: string[] = []
  const logged: string[] = []
  const app = await buildApp(t, {
    plugin: { clock },
    server: { logger: { level: 'error', stream: { write: (line: string) => logged.push(line) } } }
  })
  app.wsRoute('/chat', {
    ...limits,
    contract,
    handlers: {
      echo(payload) {
        handled.push(payload.text)
        return { text: payload.text }
      },
      picky: () => {},
      any: () => void handled.push('any')
    }
  })
  const client = await open(app)
  t.equal((await client.next()).type, '$welcome')
  return { app, client, clock, handled, logged }
}

function echo(id: number, text = 'hi'): object {
  return { type: 'echo', id, payload: { text } }
}

async function send(client: Client, frame: object | string): Promise<Frame> {
  client.send(frame)
  return await client.next()
}

function error(code: string, statusCode: number, id?: number): object {
  return { type: '$error', ...(id === undefined ? {} : { id }), payload: { code: `FST_WS_TICKET_${code}`, statusCode } }
}

t.test('a message with an id is answered, one without is handled silently', async (t) => {
  const { client, handled } = await given(t)
  client.send({ type: 'echo', payload: { text: 'silent' } })
  t.same(await send(client, echo(7)), { type: '$reply', id: 7, payload: { text: 'hi' } })
  t.same(handled, ['silent', 'hi'])
  t.same(await send(client, { type: 'any', id: 0 }), { type: '$reply', id: 0, payload: null })
})

t.test('G1 what is not JSON is answered with an error and the connection goes on', async (t) => {
  const { client, handled } = await given(t)
  for (const text of ['', 'hello', '{', '\uFEFF{"type":"any"}', '{"type":"any"} x', '{"type":"any"}{"type":"any"}']) {
    t.match(await send(client, text), error('INVALID_JSON', 400), JSON.stringify(text))
  }
  t.same(handled, [])
  t.match(await send(client, echo(1)), { type: '$reply', id: 1 })
})

t.test('G2 deep nesting within 64 KiB is refused and the process lives', async (t) => {
  const { client, handled } = await given(t)
  const deep = (depth: number) => `{"type":"any","id":1,"payload":${'['.repeat(depth)}${']'.repeat(depth)}}`
  t.match(await send(client, deep(15)), { type: '$reply', id: 1 })
  const refused = await send(client, deep(16))
  t.match(refused, { ...error('INVALID_JSON', 400), payload: { message: /nested too deep/ } })
  t.match(await send(client, deep(32_000)), error('INVALID_JSON', 400))
  t.same(handled, ['any'])
})

t.test('G3 keys that reach a prototype are refused and pollute nothing', async (t) => {
  const { client, handled } = await given(t)
  const payloads = [
    '{"__proto__":{"polluted":1}}',
    '[[{"__proto__":{"polluted":1}}]]',
    '{"a":{"constructor":{"prototype":{"polluted":1}}}}'
  ]
  for (const payload of payloads) t.match(await send(client, `{"type":"any","id":1,"payload":${payload}}`), error('INVALID_JSON', 400))
  t.match(await send(client, '{"type":"any","__proto__":{"type":"echo"}}'), error('INVALID_JSON', 400))
  t.same(handled, [])
  t.equal(Reflect.get({}, 'polluted'), undefined)
})

t.test('G4 types that do not exist, or only as properties of objects, are unknown', async (t) => {
  const { client } = await given(t)
  for (const type of ['toString', '__proto__', 'constructor', 'hasOwnProperty', '', 'ECHO', 'echo ', '$reply', '$welcome']) {
    const { client } = await given(t)
    t.match(await send(client, { type, id: 3, payload: {} }), error('UNKNOWN_TYPE', 404, 3), type)
  }
  for (const type of [{}, ['echo'], null, 7, { toString: 'echo' }]) {
    t.match(await send(client, { type, id: 3, payload: {} }), error('INVALID_ENVELOPE', 400, 3), JSON.stringify(type))
  }
})

t.test('G4 H10 who sends an unknown type is told which, and what there is: cut, escaped, and not many times what was sent', async (t) => {
  const { client } = await given(t)
  const messageFor = async (client: Client, type: string) => Object((await send(client, { type, payload: {} })).payload).message
  t.equal(await messageFor(client, 'ecko'), "This route has no message 'ecko'; known: echo, picky, any.")
  t.equal(
    await messageFor(client, '\u001b[31m%s\r\nä'),
    "This route has no message '\\u001b[31m%s\\u000d\\u000a\\u00e4'; known: echo, picky, any."
  )
  t.equal(await messageFor(client, 'x'.repeat(60_000)), `This route has no message '${'x'.repeat(24)}…'; known: echo, picky, any.`)

  const app = await buildApp(t)
  const types = Array.from({ length: 50 }, (_, n) => `message.${n}`)
  const entries = types.map((type) => [type, { payload: Type.Object({}) }] as const)
  app.wsRoute('/many', {
    contract: defineContract({ messages: Object.fromEntries(entries) }),
    handlers: Object.fromEntries(types.map((type) => [type, () => {}]))
  })
  app.wsRoute('/none', { contract: defineContract({}), handlers: {} })
  await app.ready()
  const [many, none] = await Promise.all(['/many', '/none'].map((path) => connectInjected(app, path)))
  if (!many || !none) throw new Error('there are two')
  for (const { socket } of [many, none]) t.teardown(() => socket.terminate())
  await Promise.all([many.next(), none.next()])
  t.match(await messageFor(many, 'a'), /^This route has no message 'a'; known: message\.0, message\.1, .{200,250}… \(50 in all\)\.$/)
  const longest = await send(many, { type: '\u0000'.repeat(1000), id: Number.MAX_SAFE_INTEGER, payload: {} })
  t.ok(JSON.stringify(longest).length < 1000)
  t.equal(await messageFor(none, 'a'), "This route has no message 'a'; known: none.")
})

t.test('a frame of another form is refused, with its id where it has one', async (t) => {
  const { client } = await given(t)
  t.match(await send(client, { type: 'echo', id: 7, payload: { text: 'x' }, extra: 1 }), error('INVALID_ENVELOPE', 400, 7))
  const withoutId = await send(client, { type: 'echo', id: '7', payload: { text: 'x' } })
  t.match(withoutId, error('INVALID_ENVELOPE', 400))
  t.notOk('id' in withoutId)
  t.match(await send(client, '[]'), error('INVALID_ENVELOPE', 400))
})

t.test('G5 G6 an extra property is refused and not stripped, a text for a number is refused and not coerced', async (t) => {
  const { client, handled } = await given(t)
  const cases: [unknown, string][] = [
    [{ text: 'x', extra: 1 }, '/extra'],
    [{ text: 'x', n: '1' }, '/n'],
    [{ text: 1 }, '/text'],
    [{ text: 'longer than ten' }, '/text'],
    [{}, ''],
    [null, ''],
    [undefined, '']
  ]
  for (const [payload, path] of cases) {
    const answer = await send(client, { type: 'echo', id: 5, payload })
    t.match(answer, { ...error('INVALID_PAYLOAD', 400, 5), payload: { errors: [{ path, message: String }] } }, JSON.stringify(payload))
  }
  t.same(handled, [])
})

t.test('F8 a binary frame closes the connection with 1003', async (t) => {
  const { client, handled } = await givenSocket(t)
  client.socket.send(Buffer.from(JSON.stringify(echo(1))), { binary: true })
  t.match(await client.closed, { code: 1003 })
  t.equal(client.unread, 0)
  t.same(handled, [])
})

t.test("F4 a message over the route's own limit closes the connection with 1009", async (t) => {
  const { client, handled, clock } = await givenSocket(t, { maxPayload: 100 })
  const frame = JSON.stringify(echo(1))
  t.match(await send(client, frame.padEnd(100)), { type: '$reply' })
  client.send(frame.padEnd(101))
  // nothing more is read from it, its close frame included
  while (client.socket.readyState === client.socket.OPEN) await nextTurn()
  clock.advance(2250)
  t.match(await client.closed, { code: 1009 })
  t.same(handled, ['hi'])
})

t.test('the bytes of a message count, not its characters', async (t) => {
  const { client, clock } = await givenSocket(t, { maxPayload: 100 })
  client.send({ type: 'any', payload: 'ä'.repeat(60) })
  while (client.socket.readyState === client.socket.OPEN) await nextTurn()
  clock.advance(2250)
  t.match(await client.closed, { code: 1009 })
})

t.test('a check of a schema that throws is answered without internals and logged', async (t) => {
  const { client, logged } = await given(t)
  const answer = await send(client, { type: 'picky', id: 1, payload: {} })
  t.match(answer, { ...error('HANDLER_FAILED', 500), id: 1 })
  t.notMatch(JSON.stringify(answer), /secret/)
  t.match(logged.join(''), /a message could not be checked/)
  t.match(await send(client, echo(2)), { type: '$reply', id: 2 })
})

t.test('bad messages: ten a minute are answered, one more closes with 4400', async (t) => {
  const { client } = await givenSocket(t)
  for (let i = 0; i < 10; i++) t.match(await send(client, 'not JSON'), error('INVALID_JSON', 400))
  client.send('not JSON')
  t.match(await client.closed, { code: 4400, reason: 'too many bad messages' })
  t.equal(client.unread, 0, 'the last one is not explained')
})

t.test('bad messages: every kind of them counts, and the count wears off', async (t) => {
  const { client, clock } = await givenSocket(t, { badMessages: { max: 4, timeWindow: '4 seconds' } })
  const bad = ['{', '{}', { type: 'nope' }, { type: 'echo', payload: {} }]
  for (const frame of bad) t.match(await send(client, frame), { type: '$error' })
  clock.advance(1000)
  t.match(await send(client, '{'), { type: '$error' }, 'one has worn off')
  client.send({ type: 'echo', payload: {} })
  t.match(await client.closed, { code: 4400 })
})

t.test('G8 what comes behind the frame that closed the connection is not handled', async (t) => {
  const { client, handled } = await givenSocket(t, { badMessages: { max: 1, timeWindow: '1 minute' } })
  for (const frame of ['{', '{', echo(1), echo(2)]) client.send(frame)
  t.match(await client.closed, { code: 4400 })
  t.same(handled, [])
})

t.test('H1 the limit of a connection: a burst, then retryAfter, then again', async (t) => {
  const { client, clock, handled } = await given(t, { rateLimit: { max: 2, timeWindow: '1 second', burst: 3 } })
  for (const id of [1, 2, 3]) t.match(await send(client, echo(id)), { type: '$reply', id })
  const refused = await send(client, echo(4))
  t.match(refused, { type: '$error', payload: { code: 'FST_WS_TICKET_RATE_LIMITED', statusCode: 429, retryAfter: 500 } })
  t.notOk('id' in refused, 'it is refused before it is parsed')
  clock.advance(499)
  t.match(await send(client, echo(5)), { type: '$error', payload: { retryAfter: 1 } })
  clock.advance(1)
  t.match(await send(client, echo(6)), { type: '$reply', id: 6 })
  t.equal(handled.length, 4)
})

t.test('H9 setting the clock on the wall changes no limit', async (t) => {
  const { client, clock } = await given(t, { rateLimit: { max: 1, timeWindow: '1 second' } })
  t.match(await send(client, echo(1)), { type: '$reply' })
  for (const wall of [Date.UTC(2036), Date.UTC(1996)]) {
    clock.setWall(wall)
    t.match(await send(client, echo(2)), { type: '$error', payload: { retryAfter: 1000 } })
  }
  clock.advance(1000)
  t.match(await send(client, echo(3)), { type: '$reply' })
})

t.test('order of checks: over the limit, a frame is not even parsed and does not count as bad', async (t) => {
  const { client, clock } = await givenSocket(t, {
    rateLimit: { max: 1, timeWindow: '1 second' },
    badMessages: { max: 1, timeWindow: '1 minute' }
  })
  t.match(await send(client, '{'), error('INVALID_JSON', 400))
  for (let i = 0; i < 5; i++) t.match(await send(client, '{'), error('RATE_LIMITED', 429))
  clock.advance(1000)
  client.send('{')
  t.match(await client.closed, { code: 4400 })
})

t.test('messages over a limit close the connection with 4429 when there are too many', async (t) => {
  const limits = { rateLimit: { max: 1, timeWindow: '1 second' }, limitViolations: { max: 3, timeWindow: '1 minute' } }
  const { client, handled } = await givenSocket(t, limits)
  t.match(await send(client, echo(1)), { type: '$reply' })
  for (const id of [2, 3, 4]) t.match(await send(client, echo(id)), error('RATE_LIMITED', 429))
  t.match(await send(client, echo(5)), { type: '$error', payload: { retryAfter: 1000 } }, 'the last one says how long to wait')
  t.match(await client.closed, { code: 4429, reason: 'limits exceeded too often' })
  t.same(handled, ['hi'])
})

t.test('by default a hundred messages over the limit a minute are borne', async (t) => {
  const { client } = await givenSocket(t)
  for (let id = 1; id <= 40; id++) t.match(await send(client, echo(id)), { type: '$reply', id })
  for (let i = 0; i < 100; i++) t.match(await send(client, echo(0)), { payload: { code: 'FST_WS_TICKET_RATE_LIMITED' } })
  client.send(echo(0))
  t.match(await client.closed, { code: 4429 })
})

const limited = defineContract({
  messages: { a: { payload: Type.Object({ n: Type.Number() }) }, b: { payload: Type.Object({ n: Type.Number() }) } }
})

async function givenLimit(t: Test, per: 'connection' | 'user' | 'ip'): Promise<{ app: FastifyInstance; clock: ManualClock }> {
  const clock = new ManualClock()
  const app = await buildApp(t, { plugin: { clock } })
  const rateLimit = { max: 2, timeWindow: '10 seconds', per }
  app.wsRoute('/chat', { contract: limited, handlers: { a: { handler: () => {}, rateLimit }, b: () => {} } })
  await app.ready()
  return { app, clock }
}

async function enter(t: Test, app: FastifyInstance, sub: string): Promise<Client> {
  const client = await connectInjected(app, '/chat', { claims: { sub } })
  t.teardown(() => client.socket.terminate())
  await client.next()
  return client
}

t.test("order of checks: the type's limit comes before its schema, and only for its own type", async (t) => {
  const { app, clock } = await givenLimit(t, 'connection')
  const client = await enter(t, app, 'ann')
  for (const id of [1, 2]) t.match(await client.request('a', { n: 'bad' }, id), error('INVALID_PAYLOAD', 400, id))
  t.match(await client.request('a', { n: 'bad' }, 3), { ...error('RATE_LIMITED', 429, 3), payload: { retryAfter: 5000 } })
  t.match(await client.request('b', { n: 1 }, 4), { type: '$reply', id: 4 })
  clock.advance(5000)
  t.match(await client.request('a', { n: 1 }, 5), { type: '$reply', id: 5 })
})

t.test('a limit per connection: each has its own', async (t) => {
  const { app } = await givenLimit(t, 'connection')
  for (const client of [await enter(t, app, 'ann'), await enter(t, app, 'ann')]) {
    for (const id of [1, 2]) t.match(await client.request('a', { n: 1 }, id), { type: '$reply' })
    t.match(await client.request('a', { n: 1 }, 3), error('RATE_LIMITED', 429, 3))
  }
})

t.test("H1 a limit per user: with new tickets and connections the user's bucket does not refill", async (t) => {
  const { app, clock } = await givenLimit(t, 'user')
  const first = await enter(t, app, 'ann')
  for (const id of [1, 2]) t.match(await first.request('a', { n: 1 }, id), { type: '$reply' })
  first.socket.terminate()
  await first.closed
  const second = await enter(t, app, 'ann')
  t.match(await second.request('a', { n: 1 }, 3), error('RATE_LIMITED', 429, 3))
  const other = await enter(t, app, 'bob')
  t.match(await other.request('a', { n: 1 }, 4), { type: '$reply' })
  clock.advance(5000)
  t.match(await second.request('a', { n: 1 }, 5), { type: '$reply' })
})

t.test('H1 H9 what is swept is full again: sweeping gives nobody more than the limit', async (t) => {
  const { app, clock } = await givenLimit(t, 'user')
  const client = await enter(t, app, 'ann')
  for (const id of [1, 2]) t.match(await client.request('a', { n: 1 }, id), { type: '$reply' })
  clock.advance(4000)
  t.match(await client.request('a', { n: 1 }, 3), error('RATE_LIMITED', 429, 3))
  clock.advance(20_000)
  for (const id of [4, 5]) t.match(await client.request('a', { n: 1 }, id), { type: '$reply' })
  t.match(await client.request('a', { n: 1 }, 6), error('RATE_LIMITED', 429, 6))
})

t.test('H2 a limit per address is shared by all of its users', async (t) => {
  const { app } = await givenLimit(t, 'ip')
  const [ann, bob] = [await enter(t, app, 'ann'), await enter(t, app, 'bob')]
  t.match(await ann.request('a', { n: 1 }, 1), { type: '$reply' })
  t.match(await bob.request('a', { n: 1 }, 2), { type: '$reply' })
  t.match(await ann.request('a', { n: 1 }, 3), error('RATE_LIMITED', 429, 3))
  t.match(await bob.request('a', { n: 1 }, 4), error('RATE_LIMITED', 429, 4))
})

t.test('a $ping is answered at once, without any handler, and counts like any message', async (t) => {
  const { client, handled } = await given(t, { rateLimit: { max: 1, timeWindow: 1000, burst: 3 } })
  client.send({ type: '$ping' })
  t.same(await client.request('$ping', {}, 5), { type: '$reply', id: 5, payload: null })
  client.send({ type: '$ping', id: 6 })
  t.same(await client.next(), { type: '$reply', id: 6, payload: null })
  t.match(await client.request('$ping', {}, 7), { type: '$error', payload: { code: 'FST_WS_TICKET_RATE_LIMITED' } })
  t.same(handled, [])
})
