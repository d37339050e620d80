import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import Type from 'typebox'
import { defineContract } from '../../src/contract.js'
import { localSharedLimit } from '../../src/message/limit.js'
import { compileMessages, type MessageTable } from '../../src/message/messages.js'
import { RouteMetrics } from '../../src/metrics/route-metrics.js'
import { parseOptions, parseRouteLimits } from '../../src/options.js'
import { buildApp } from '../fixtures/app.js'

const text = Type.Object({ text: Type.String() })
const contract = defineContract({ messages: { say: { payload: text, reply: text }, note: { payload: text } }, events: { news: text } })
const handler = () => {}
const handlers = { say: handler, note: handler }

/** Compiles as a route does, whatever is given for a contract and for handlers. */
function compile(given: unknown, givenHandlers: object): MessageTable {
  const { connection } = parseRouteLimits('/chat', parseOptions({ allowedOrigins: ['https://a.example'] }), {})
  const metrics = new RouteMetrics({}, '/chat')
  const options = { settings: connection, createSharedLimit: localSharedLimit, metrics, traceMessage: undefined }
  return Reflect.apply(compileMessages, undefined, ['/chat', given, givenHandlers, options])
}

t.test('a contract becomes a table of its messages and events', async (t) => {
  const { definitions, events, swept } = compile(contract, handlers)
  t.same([...definitions.keys()], ['say', 'note'])
  t.same([...events.keys()], ['news'])
  t.same(swept, [])
  t.equal(definitions.get('say')?.payload.check({ text: 'x' }), true)
  t.equal(definitions.get('say')?.reply?.check({ text: 7 }), false)
  t.equal(definitions.get('note')?.reply, undefined)
  t.equal(definitions.get('note')?.limit, undefined)
})

t.test('a handler is a function, or an object with it and a limit of its own', async (t) => {
  const rateLimit = { max: 1, timeWindow: '1 second' }
  const { definitions, swept } = compile(contract, {
    say: { handler, rateLimit: { ...rateLimit, per: 'user' } },
    note: { handler, rateLimit }
  })
  t.ok(definitions.get('say')?.limit)
  t.ok(definitions.get('note')?.limit)
  t.equal(swept.length, 1, 'only what outlives connections is swept')
  t.equal(compile(contract, { say: { handler, rateLimit: { ...rateLimit, per: 'ip' } }, note: { handler } }).swept.length, 1)
  t.equal(compile(contract, { say: { handler, rateLimit: { ...rateLimit, per: 'connection' } }, note: handler }).swept.length, 0)
})

t.test('all connection limits of a route have buckets of their own', async (t) => {
  const rateLimit = { max: 1, timeWindow: 1000 }
  const table = compile(contract, { say: { handler, rateLimit }, note: { handler, rateLimit } })
  const limits = [table.limit, table.violations, table.badMessages, ...[...table.definitions.values()].map(({ limit }) => limit)]
  const connection = { userId: 'ann', ipKey: '', buckets: [] }
  for (const limit of limits) limit?.take(connection, 1000)
  t.equal(connection.buckets.length, 9)
  t.equal(new Set(connection.buckets).size > 1, true)
})

const schemaProblem = Type.Object({ a: Type.String({ pattern: '^(a+)+$' }) })
const rate = { max: 1, timeWindow: '1 second' }

const badContracts: [string, unknown, object, RegExp][] = [
  ['a type of the protocol', { messages: { $reply: { payload: text } }, events: {} }, {}, /the type '\$reply' is not allowed/],
  ['an event of the protocol', { messages: {}, events: { $x: text } }, {}, /the type '\$x' is not allowed/],
  ['a type without a name', { messages: { '': { payload: text } }, events: {} }, {}, /the type '' is not allowed/],
  ['a handler of nothing', contract, { ...handlers, shout: handler }, /handlers has 'shout', .* it has: say, note/],
  ['a handler where there is no message', defineContract({}), { say: handler }, /handlers has 'say', .* it has: none/],
  ['no handler', contract, { say: handler }, /no handler for 'note'/],
  ['a handler that is no function', contract, { ...handlers, note: 'x' }, /no handler for 'note'/],
  ['a handler that is null', contract, { ...handlers, note: null }, /no handler for 'note'/],
  ['a limit without a handler', contract, { ...handlers, note: { rateLimit: rate } }, /no handler for 'note'/],
  ['an inherited handler', { messages: { toString: { payload: text } }, events: {} }, {}, /no handler for 'toString'/],
  [
    'an unknown option of a handler',
    contract,
    { ...handlers, note: { handler, limit: rate } },
    /the handler of 'note' has the option 'limit'/
  ],
  ['no payload', { messages: { say: {} }, events: {} }, { say: handler }, /say, payload: there is no schema/],
  ['no message', { messages: { say: undefined }, events: {} }, { say: handler }, /say, payload: there is no schema/],
  [
    'a reply that is no schema',
    { messages: { say: { payload: text, reply: null } }, events: {} },
    { say: handler },
    /say, reply: there is no schema/
  ],
  [
    'a part of a contract that there is none of',
    { ...contract, message: {} },
    handlers,
    /the contract has 'message'; allowed: messages, events/
  ],
  [
    'a part of a message that there is none of',
    { messages: { say: { payload: text, replies: text } }, events: {} },
    { say: handler },
    /the message 'say' has 'replies'; allowed: payload, reply/
  ],
  [
    'a payload that is a list of names',
    { messages: { say: { payload: { a: 'string' } } }, events: {} },
    { say: handler },
    /say, payload: there is no schema, but { a: 'string' }; give a TypeBox schema, such as Type\.Object/
  ],
  ['a type that JSON has not', { messages: { say: { payload: { type: 'objekt' } } }, events: {} }, { say: handler }, /say, payload: there/],
  [
    'an event that is written as a message',
    { messages: {}, events: { news: { payload: text } } },
    {},
    /news: there is no schema; that of an event stands by itself/
  ],
  [
    'a message that is a schema by itself',
    { messages: { say: text }, events: {} },
    { say: handler },
    /'say' is a schema; .* in payload: \{/
  ],
  ['an event that is no schema', { messages: {}, events: { news: 'text' } }, {}, /news: there is no schema, but 'text'; give/],
  [
    'G7 a catastrophic pattern in a payload',
    { messages: { say: { payload: schemaProblem } }, events: {} },
    { say: handler },
    /say, payload: the pattern/
  ],
  [
    'G7 a catastrophic pattern in a reply',
    { messages: { say: { payload: text, reply: schemaProblem } }, events: {} },
    { say: handler },
    /say, reply: the p/
  ],
  ['G7 a catastrophic pattern in an event', { messages: {}, events: { news: schemaProblem } }, {}, /news: the pattern/]
]

for (const [name, given, givenHandlers, message] of badContracts) {
  t.test(`${name} is refused`, async (t) => {
    t.throws(() => compile(given, givenHandlers), { code: 'FST_WS_TICKET_INVALID_CONTRACT', statusCode: 500, message })
    t.throws(() => compile(given, givenHandlers), { message: /^Route \/chat: / }, 'the route is named')
  })
}

t.test('what is thrown while a schema is compiled says where, even when it is no error', async (t) => {
  const thrower = new Proxy(Type.Object({}), {
    ownKeys() {
      throw 'a text'
    }
  })
  t.throws(() => compile({ messages: {}, events: { news: thrower } }, {}), { message: 'Route /chat: news: a text' })
})

const badRates: [unknown, RegExp][] = [
  [{ ...rate, per: 'room' }, /'per' is 'room'; allowed: 'connection', 'user' or 'ip'/],
  [{ ...rate, per: 1 }, /'per' is 1;/],
  [{ max: 1 }, /'timeWindow' is missing; allowed: a duration/],
  [{ timeWindow: 1000, per: 'user' }, /'max' is missing; allowed: a whole number/],
  [{ ...rate, max: 0 }, /'max' is 0;/],
  [{ ...rate, burst: -1 }, /'burst' is -1;/],
  [{ ...rate, timeWindow: 'soon' }, /'timeWindow' is 'soon';/],
  [{ ...rate, limit: 1 }, /'limit' is not known; allowed: max, timeWindow, burst/],
  [7, /is 7; allowed: \{ max, timeWindow, burst\?, per\? \}/],
  [null, /is null; allowed/],
  [false, /is false; allowed/]
]

for (const [rateLimit, message] of badRates) {
  t.test(`the limit ${JSON.stringify(rateLimit)} of a handler is refused`, async (t) => {
    const given = { ...handlers, say: { handler, rateLimit } }
    t.throws(() => compile(contract, given), { code: 'FST_WS_TICKET_INVALID_OPTION', statusCode: 500, message })
    t.throws(() => compile(contract, given), { message: /^Option \/chat: rateLimit of 'say'/ }, 'the place is named')
  })
}

t.test('G7 a route whose contract is refused is not declared, and the app lives', async (t: Test) => {
  const app: FastifyInstance = await buildApp(t)
  const bad = defineContract({ messages: { say: { payload: schemaProblem } } })
  t.throws(() => app.wsRoute('/chat', { contract: bad, handlers: { say: handler } }), { code: 'FST_WS_TICKET_INVALID_CONTRACT' })
  await app.ready()
  t.notOk(app.hasRoute({ method: 'GET', url: '/chat' }))
  t.notOk(app.hasRoute({ method: 'POST', url: '/chat/ticket' }))
})
