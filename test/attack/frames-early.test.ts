import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { RouteLimits } from '../../src/index.js'
import { echoContract } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { CountedEcho, echo, manyMessages, manyRequests } from '../fixtures/counted-echo.js'
import { beginRaw, closeFrame, fragments, messageFrame, type RawClient, type RawOpening } from '../fixtures/frames.js'
import { issueTicket } from '../fixtures/tickets.js'

const texts = Array.from({ length: 300 }, (_, i) => `${i}`)
const early = texts.map((text, i) => messageFrame({ ...echo(text, i), payload: { text } }))

const refused = new CountedEcho()
attack(
  'F9 frames in one segment with a handshake that is refused: none is handled',
  { plugin: manyRequests, declare: refused.declare },
  async (t, { app }) => {
    const good = await issueTicket(app, '/echo')
    const used = await issueTicket(app, '/echo')
    const first = await beginRaw(t, app, { ticket: used })
    await first.answer
    const frames = early.slice(0, 5)
    const attempts: [number, string, RawOpening][] = [
      [403, 'a foreign origin', { ticket: good, headers: { Origin: 'https://evil.example.com' } }],
      [403, 'no origin', { ticket: good, headers: { Origin: undefined } }],
      [400, 'a short key', { ticket: good, headers: { 'Sec-WebSocket-Key': 'AAAA' } }],
      [426, 'version 8', { ticket: good, headers: { 'Sec-WebSocket-Version': '8' } }],
      [400, 'another subprotocol', { ticket: good, headers: { 'Sec-WebSocket-Protocol': `chat, ticket.${good}` } }],
      [401, 'no ticket', { ticket: '', headers: { 'Sec-WebSocket-Protocol': 'fastify-ws-ticket.v1' } }],
      [401, 'an unknown ticket', { ticket: 'A'.repeat(43) }],
      [401, 'a used ticket', { ticket: used }]
    ]
    for (const [status, what, opening] of attempts) {
      const raw = await beginRaw(t, app, { ...opening, early: frames })
      t.match(await raw.raw.ended, new RegExp(`^HTTP/1\\.1 ${status} `), what)
      t.same(raw.unread, [], `${what}: no frame is answered`)
    }
    t.same(refused.handled, [])
    const raw = await beginRaw(t, app, { ticket: good })
    t.match(await raw.next(), { type: '$welcome' }, 'and the ticket is good afterwards')
  }
)

/** All are handled once and in order, and answered likewise. */
async function areHandled(t: Test, raw: RawClient, handled: string[]): Promise<void> {
  t.match(await raw.next(), { type: '$welcome' })
  for (const [id, text] of texts.entries()) {
    const reply = await raw.next()
    if (reply.type !== '$reply' || reply.id !== id) t.match(reply, { type: '$reply', id, payload: { text } })
  }
  await raw.flushed()
  t.same(handled, texts)
  t.same(raw.unread, [], 'and nothing else is said')
}

const accepted = new CountedEcho()
attack(
  'F9 frames in one segment with a handshake that is accepted: each is handled once and in order',
  { declare: (app) => accepted.declare(app, manyMessages) },
  async (t, { app }) => {
    await areHandled(t, await beginRaw(t, app, { early }), accepted.handled)
  }
)

/** A route whose hooks and onOpen take their time. */
function declareSlow(app: FastifyInstance, handled: string[], limits: RouteLimits): void {
  const pause = async () => {
    for (let i = 0; i < 50; i++) await nextTurn()
  }
  app.wsRoute('/echo', {
    ...limits,
    contract: echoContract,
    handlers: {
      echo: async ({ text }) => {
        handled.push(text)
        await nextTurn()
        return { text }
      },
      note: () => {}
    },
    preValidation: pause,
    preHandler: pause,
    onOpen: pause
  })
}

const slow: string[] = []
attack(
  'F9 early frames wait for slow hooks, a slow onOpen and slow handlers, and are handled once and in order',
  { declare: (app) => declareSlow(app, slow, { ...manyMessages, maxQueued: 1000 }) },
  async (t, { app }) => {
    await areHandled(t, await beginRaw(t, app, { early }), slow)
  }
)

const dripped = new CountedEcho()
attack(
  'F9 a handshake with frames that comes byte by byte, or begins a message: handled once',
  { declare: dripped.declare },
  async (t, { app }) => {
    const [begin, end] = fragments('{"type":"echo","id":1,', '"payload":{"text":"split"}}')
    if (!begin || !end) throw new Error('there are two fragments')
    const raw = await beginRaw(t, app, { early: [messageFrame(echo('first')), begin, end.subarray(0, 3)] })
    raw.raw.socket.setNoDelay(true)
    for (const byte of end.subarray(3)) {
      raw.write(Buffer.from([byte]))
      await nextTurn()
    }
    await raw.flushed()
    t.same(dripped.handled, ['first', 'split'])
  }
)

const farewell = new CountedEcho()
attack(
  'F9 a close frame with the handshake is answered, and what is behind it is not handled',
  { declare: farewell.declare },
  async (t, { app }) => {
    const raw = await beginRaw(t, app, { early: [messageFrame(echo('before')), closeFrame(1000), messageFrame(echo('behind it'))] })
    t.match(await raw.closed, { code: 1000 })
    t.same(farewell.handled, ['before'])
  }
)
