import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { defineContract, type RouteLimits } from '../../src/index.js'
import { attack } from '../fixtures/attack.js'
import { manyMessages } from '../fixtures/counted-echo.js'
import { messageFrame, openRaw } from '../fixtures/frames.js'
import { captureLog } from '../fixtures/log.js'
import { as } from '../fixtures/timed-app.js'

const path = '/ask'
const SECRET = 'secret-of-the-database'
const FAILED = {
  type: '$error',
  payload: { code: 'FST_WS_TICKET_HANDLER_FAILED', statusCode: 500, message: 'The server failed to handle the message.' }
}

const contract = defineContract({
  messages: {
    ask: { payload: Type.Unknown(), reply: Type.Unknown() },
    strictly: { payload: Type.Unknown(), reply: Type.Object({ n: Type.Number() }) },
    publish: { payload: Type.Unknown() },
    send: { payload: Type.Unknown() }
  },
  events: { news: Type.Object({ n: Type.Number() }) }
})

/** A route that does what its handlers should not, by the name that a message asks for. */
function declareWith(answers: Record<string, () => unknown>, limits: RouteLimits = {}) {
  const answer = (payload: unknown) => answers[String(payload)]?.() ?? 'fine'
  return (app: FastifyInstance): void => {
    // as JavaScript may, with handlers that answer what their types forbid
    const route = Reflect.apply(app.wsRoute, app, [
      path,
      {
        ...manyMessages,
        ...limits,
        contract,
        handlers: {
          ask: answer,
          strictly: answer,
          publish: (payload: unknown) => void Reflect.apply(route.publish, route, ['all', 'news', answer(payload)]),
          send: (payload: unknown, connection: object) =>
            void Reflect.apply(Reflect.get(connection, 'send'), connection, ['news', answer(payload)])
        },
        onOpen: (connection: { subscribe(topic: string): void }) => connection.subscribe('all')
      }
    ])
  }
}

function raise(error: unknown): never {
  throw error
}

/** An error one of whose properties can not be read. */
function unreadable(property: string, statusCode = 400): Error {
  const error = Object.assign(new Error(SECRET), { statusCode })
  return Object.defineProperty(error, property, { get: () => raise(new Error(SECRET)) })
}

const circular: { self?: unknown } = {}
circular.self = circular

const failing: Record<string, () => unknown> = {
  throws: () => raise(new Error(SECRET)),
  rejects: () => Promise.reject(new Error(SECRET)),
  'rejects later': () => new Promise((_resolve, reject) => setImmediate(reject, new Error(SECRET))),
  'throws a text': () => raise(SECRET),
  'throws nothing': () => raise(undefined),
  'throws a frozen object': () => raise(Object.freeze({ statusCode: 400, message: SECRET })),
  'throws an error of the server': () => raise(Object.assign(new Error(SECRET), { statusCode: 502, code: SECRET })),
  'throws a RangeError': () => raise(new RangeError(SECRET)),
  'overflows the stack': function overflow(): unknown {
    return [overflow()]
  },
  'rejects with a message that is no text': () => Promise.reject(Object.assign(new Error(SECRET), { statusCode: 400, message: 10n })),
  'rejects with a circular message': () => Promise.reject(Object.assign(new Error(SECRET), { statusCode: 422, message: circular })),
  'rejects with a status that throws': () => Promise.reject(unreadable('statusCode')),
  'rejects with a code that throws': () => Promise.reject(unreadable('code')),
  'rejects with a stack that throws': () => Promise.reject(unreadable('stack', 500)),
  'throws a code that throws': () => raise(unreadable('code')),
  'a thenable that throws': () => ({
    // biome-ignore lint/suspicious/noThenProperty: what a hostile or broken library may return
    then: () => raise(new Error(SECRET))
  })
}

const failures = captureLog('warn')
attack(
  'G10 handlers that throw or reject are answered with 500 without internals, and their slots are freed',
  { server: { logger: failures.logger }, declare: declareWith(failing, { inFlight: 2, maxQueued: 0 }) },
  async (t, { app }) => {
    const raw = await openRaw(t, app, { path })
    for (const name of Object.keys(failing)) {
      const logged = failures.lines.length
      // more often than there are slots
      for (const id of [1, 2, 3]) t.same(await raw.request('ask', name, id), { ...FAILED, id }, name)
      t.equal(failures.lines.length, logged + 3, `${name}: logged`)
    }
    t.match(JSON.stringify(failures.lines), SECRET, 'for the log only')
    t.same(await raw.request('ask', 'fine', 4), { type: '$reply', id: 4, payload: 'fine' })
  }
)

const settle: ((value: unknown) => void)[] = []
const never = { never: () => new Promise((resolve) => settle.push(resolve)) }
attack(
  'G10 handlers that never settle are given up in time: 503, and their slots are freed',
  { timed: true, declare: declareWith(never, { inFlight: 2, maxQueued: 1, handlerTimeout: '5 seconds' }) },
  async (t, { app, advance }) => {
    const raw = await openRaw(t, app, { path, request: as({ sub: 'ann' }) })
    const ask = (payload: string, id: number) => messageFrame({ type: 'ask', id, payload })
    raw.write(ask('never', 1), ask('never', 2), ask('fine', 3), ask('fine', 4))
    t.match(await raw.next(), { type: '$error', id: 4, payload: { statusCode: 429 } }, 'both slots and the queue are taken')
    await advance(4000)
    t.equal(raw.unread.length, 0)
    await advance(2000)
    const timedOut = { type: '$error', payload: { code: 'FST_WS_TICKET_HANDLER_TIMEOUT', statusCode: 503 } }
    t.match(await raw.next(), { ...timedOut, id: 1 })
    t.match(await raw.next(), { ...timedOut, id: 2 })
    t.match(await raw.next(), { type: '$reply', id: 3 }, 'what waited is handled')
    for (const resolve of settle) resolve(SECRET)
    t.match(await raw.request('ask', 'fine', 5), { type: '$reply', id: 5 })
    t.equal(raw.unread.length, 0, 'what they answer later goes nowhere')
  }
)

const wrong: Record<string, () => unknown> = {
  'another type': () => ({ n: SECRET }),
  'one property more': () => ({ n: 1, password: SECRET }),
  'no object': () => SECRET,
  'not a number': () => ({ n: Number.NaN }),
  'in a promise': async () => ({ n: SECRET })
}

const mismatches = captureLog('warn')
attack(
  'G11 a reply or an event that does not match its own schema is never sent, and logged',
  { server: { logger: mismatches.logger }, declare: declareWith(wrong) },
  async (t, { app }) => {
    const raw = await openRaw(t, app, { path })
    for (const type of ['strictly', 'publish', 'send']) {
      for (const name of Object.keys(wrong)) {
        const logged = mismatches.lines.length
        t.same(await raw.request(type, name, 1), { ...FAILED, id: 1 }, `${type}: ${name}`)
        const lines = mismatches.lines.slice(logged)
        t.match(
          lines,
          [{ level: 50, type, msg: 'a message could not be handled', err: { message: /does not match its schema/ } }],
          'logged'
        )
      }
    }
    t.throws(() => app.wsTicket.publish('all', 'news', { n: SECRET }), { code: 'FST_WS_TICKET_INVALID_EVENT' })
    t.throws(() => app.wsTicket.send({ user: 'ann' }, 'news', { n: 1, password: SECRET }), { code: 'FST_WS_TICKET_INVALID_EVENT' })
    t.match(await raw.request('ask', 'fine', 2), { type: '$reply', id: 2 })
    t.equal(raw.unread.length, 0)
    t.notMatch(raw.raw.received, SECRET)
  }
)

const unsendable: Record<string, () => unknown> = {
  circular: () => circular,
  'a bigint': () => 10n,
  'what throws as JSON': () => ({ toJSON: () => raise(new Error(SECRET)) }),
  'what throws when read': () => ({
    get secret() {
      return raise(new Error(SECRET))
    }
  }),
  huge: () => 'x'.repeat(2_000_000),
  'huge in bytes': () => 'ä'.repeat(600_000),
  'nested without end': () => {
    let nested: unknown = 1
    for (let i = 0; i < 100_000; i++) nested = [nested]
    return nested
  }
}

const caught = captureLog('warn')
attack(
  'G12 a circular or huge reply is caught, and the connection goes on',
  { server: { logger: caught.logger }, declare: declareWith(unsendable) },
  async (t, { app }) => {
    const raw = await openRaw(t, app, { path })
    for (const name of Object.keys(unsendable)) {
      for (const type of ['ask', 'strictly', 'publish', 'send']) {
        const logged = caught.lines.length
        t.same(await raw.request(type, name, 1), { ...FAILED, id: 1 }, `${type}: ${name}`)
        t.equal(caught.lines.length, logged + 1, 'logged')
      }
    }
    t.same(await raw.request('ask', 'fine', 2), { type: '$reply', id: 2, payload: 'fine' })
    t.notMatch(raw.raw.received, SECRET)
  }
)
