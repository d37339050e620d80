import type { FastifyInstance } from 'fastify'
import { systemClock } from '../../src/index.js'
import { echoContract } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { echo, manyRequests } from '../fixtures/counted-echo.js'
import { messageFrame, openRaw } from '../fixtures/frames.js'
import { issueTicket, requestTicket } from '../fixtures/tickets.js'
import { refusedUpgrade } from '../fixtures/upgrade.js'

/** What users may do, asked for by `authorize`; a handler looks into the context that came of it. */
class Rights {
  readonly handled: string[] = []
  mayEnter = true
  mayWrite = true

  readonly declare = (app: FastifyInstance): void => {
    app.wsRoute('/echo', {
      contract: echoContract,
      authorize: () => this.mayEnter && { mayWrite: this.mayWrite },
      handlers: {
        echo: ({ text }, { context }) => {
          if (!context.mayWrite) throw Object.assign(new Error('You may only read.'), { statusCode: 403, code: 'READ_ONLY' })
          this.handled.push(text)
          return { text }
        },
        note: () => {}
      }
    })
  }
}

const revoked = new Rights()
attack(
  'G9 a user who is disconnected: the next message is refused, and tickets issued before open nothing',
  { plugin: manyRequests, declare: revoked.declare },
  async (t, { app, port }) => {
    const [one, other] = [await openRaw(t, app), await openRaw(t, app, { request: { claims: { sub: 'bob' } } })]
    const unused = await issueTicket(app, '/echo')
    t.match(await one.request('echo', { text: 'before' }), { type: '$reply' })
    revoked.mayEnter = false
    t.match(await app.wsTicket.disconnect({ user: 'ann' }), { disconnected: 1, ticketsVoided: 1 })
    one.write(messageFrame(echo('after')))
    t.match(await one.closed, { code: 4403 })
    t.equal((await refusedUpgrade(t, port, '/echo', unused)).status, 401)
    t.equal((await requestTicket(app, '/echo')).statusCode, 403)
    t.match(await other.request('echo', { text: 'of another user' }), { type: '$reply' })
    t.same(revoked.handled, ['before', 'of another user'])
  }
)

const lessened = new Rights()
attack(
  'G9 rights that authorize takes away at a refresh: the next message is refused',
  { plugin: manyRequests, declare: lessened.declare },
  async (t, { app }) => {
    const raw = await openRaw(t, app)
    t.match(await raw.request('echo', { text: 'before' }), { type: '$reply' })
    lessened.mayWrite = false
    const [connection] = app.wsTicket.connections().filter(({ userId }) => userId === 'ann')
    const ticket = await issueTicket(app, '/echo', { body: { refresh: connection?.id } })
    raw.write(messageFrame({ type: '$refresh', id: 2, payload: { ticket } }), messageFrame(echo('after', 3)))
    t.match(await raw.next(), { type: '$reply', id: 2 })
    t.match(await raw.next(), { type: '$error', id: 3, payload: { code: 'READ_ONLY', statusCode: 403, message: 'You may only read.' } })
    t.same(lessened.handled, ['before'], 'even in one segment with the refresh')
  }
)

let skippedMs = 0
const skipping = { ...systemClock, now: () => systemClock.now() + skippedMs, wall: () => systemClock.wall() + skippedMs }
const ended = new Rights()
attack(
  'G9 a user whom authorize refuses at a refresh is out at the end of the session',
  { plugin: { ...manyRequests, clock: skipping }, declare: ended.declare },
  async (t, { app }) => {
    const claims = { sub: 'ann', exp: Math.floor(Date.now() / 1000) + 60 }
    const raw = await openRaw(t, app, { request: { claims } })
    const early = await issueTicket(app, '/echo', { claims })
    ended.mayEnter = false
    t.equal((await requestTicket(app, '/echo', { claims })).statusCode, 403)
    raw.write(messageFrame({ type: '$refresh', id: 2, payload: { ticket: early } }))
    t.match(await raw.next(), { type: '$reply', id: 2 }, 'a ticket from before is as good as it was')
    skippedMs = 61_000
    raw.write(messageFrame(echo('after')))
    t.match(await raw.closed, { code: 4401 }, 'but no longer than its JWT')
    t.same(ended.handled, [])
  }
)
