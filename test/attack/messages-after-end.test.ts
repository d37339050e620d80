import type { FastifyInstance } from 'fastify'
import { type Connection, type RouteLimits, systemClock } from '../../src/index.js'
import { echoContract } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { echo, manyRequests } from '../fixtures/counted-echo.js'
import { beginRaw, closeFrame, messageFrame, openRaw } from '../fixtures/frames.js'

/** An echo route whose note ends the connection in the way that its test says. */
class EndingRoute {
  readonly handled: string[] = []
  readonly pending: (() => void)[] = []
  end: (connection: Connection, app: FastifyInstance) => unknown = () => {}

  readonly declare = (app: FastifyInstance, limits: RouteLimits = {}): void => {
    app.wsRoute('/echo', {
      ...limits,
      contract: echoContract,
      handlers: {
        echo: async ({ text }) => {
          this.handled.push(text)
          if (text === 'slow') await new Promise<void>((resolve) => this.pending.push(resolve))
          return { text }
        },
        note: (_payload, connection) => void this.end(connection, app)
      },
      onOpen: (connection) => {
        if (connection.userId === 'unwelcome') connection.close(1008)
      }
    })
  }
}

const end = messageFrame({ type: 'note', payload: { text: 'end' } })
const behind = [2, 3, 4].map((id) => messageFrame(echo('behind it', id)))
const first = messageFrame(echo('first'))

const ended = new EndingRoute()
attack('G8 a frame behind a close or a revocation is not handled', { plugin: manyRequests, declare: ended.declare }, async (t, { app }) => {
  const ends: [string, number, EndingRoute['end']][] = [
    ['close()', 1000, (connection) => connection.close()],
    ['close() with a code', 4000, (connection) => connection.close(4000, 'enough')],
    ['disconnect of the user', 4403, ({ userId }) => app.wsTicket.disconnect({ user: userId })],
    ['disconnect of the connection', 4403, ({ id }) => app.wsTicket.disconnect({ connection: id })]
  ]
  for (const [what, code, way] of ends) {
    ended.end = way
    ended.handled.length = 0
    const raw = await openRaw(t, app)
    raw.write(first, end, ...behind)
    t.match(await raw.closed, { code }, what)
    t.match(await raw.next(), { type: '$reply', id: 1 })
    raw.write(...behind)
    raw.write(closeFrame(1000), ...behind)
    await raw.raw.ended
    t.same(ended.handled, ['first'], `${what}: neither in the same segment nor later`)
    t.same(raw.unread.length, 1, 'nothing is answered')
  }
})

const left = new EndingRoute()
attack(
  "G8 a frame behind the client's own close frame is not handled",
  { plugin: manyRequests, declare: left.declare },
  async (t, { app }) => {
    const raw = await openRaw(t, app)
    raw.write(first, closeFrame(1000), ...behind)
    t.match(await raw.closed, { code: 1000 })
    raw.write(...behind)
    await raw.raw.ended
    t.same(left.handled, ['first'])
    const unwelcome = await beginRaw(t, app, { request: { claims: { sub: 'unwelcome' } }, early: behind })
    t.match(await unwelcome.closed, { code: 1008 }, 'closed in onOpen')
    t.same(left.handled, ['first'])
  }
)

let skippedMs = 0
const skipping = { ...systemClock, now: () => systemClock.now() + skippedMs, wall: () => systemClock.wall() + skippedMs }
const soon = (ms: number) => ({ sub: 'ann', exp: Math.floor((Date.now() + ms) / 1000) })

const expired = new EndingRoute()
attack(
  'G8 a frame behind the end of the session is not handled, even in one segment',
  { plugin: { ...manyRequests, clock: skipping }, declare: expired.declare },
  async (t, { app }) => {
    const raw = await openRaw(t, app, { request: { claims: soon(60_000) } })
    expired.end = () => {
      skippedMs = 61_000
    }
    raw.write(end, ...behind)
    t.match(await raw.closed, { code: 4401 })
    raw.write(...behind)
    raw.write(closeFrame(1000))
    await raw.raw.ended
    t.same(expired.handled, [])
  }
)

const queued = new EndingRoute()
attack(
  'G8 a message that waits for a slow handler is not handled after the end of the session',
  { plugin: { ...manyRequests, clock: skipping }, declare: queued.declare },
  async (t, { app }) => {
    const raw = await openRaw(t, app, { request: { claims: soon(skippedMs + 60_000) } })
    raw.write(messageFrame(echo('slow')), ...behind)
    await raw.flushed()
    skippedMs += 61_000
    for (const resolve of queued.pending) resolve()
    t.match(await raw.closed, { code: 4401 })
    t.same(queued.handled, ['slow'])
  }
)

const waiting = new EndingRoute()
attack(
  'G8 messages that wait for a slow handler are not handled once the connection is revoked',
  { declare: waiting.declare },
  async (t, { app }) => {
    const raw = await openRaw(t, app)
    raw.write(messageFrame(echo('slow')), ...behind)
    await raw.flushed()
    t.same(waiting.handled, ['slow'])
    t.match(await app.wsTicket.disconnect({ user: 'ann' }), { disconnected: 1 })
    for (const resolve of waiting.pending) resolve()
    t.match(await raw.closed, { code: 4403 })
    raw.write(closeFrame(4403))
    await raw.raw.ended
    t.same(waiting.handled, ['slow'])
    t.equal(raw.unread.length, 1, 'and what the slow one answers goes nowhere')
  }
)
