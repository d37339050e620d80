import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { connect } from '../fixtures/client.js'
import { manyMessages, manyRequests } from '../fixtures/counted-echo.js'
import { beginRaw, openRaw } from '../fixtures/frames.js'
import { inTime } from '../fixtures/in-time.js'
import { postTicket } from '../fixtures/post-ticket.js'
import { statusOf } from '../fixtures/raw-socket.js'
import { issueTicket } from '../fixtures/tickets.js'
import { as } from '../fixtures/timed-app.js'

const DAY_MS = 86_400_000
const few = { max: 3, timeWindow: '1 minute' }

/** Somebody sets the machine's clock, as programs see it. Put right with the test. */
function setClock(t: Test): (shiftMs: number) => void {
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  return (shiftMs) => {
    Date.now = () => now() + shiftMs
  }
}

function declareLimited(app: FastifyInstance): void {
  const rateLimit = { max: 3, timeWindow: '1 hour', per: 'user' } as const
  app.wsRoute('/echo', {
    ...manyMessages,
    contract: echoContract,
    handlers: { ...echoHandlers, echo: { handler: echoHandlers.echo, rateLimit } }
  })
}

const shifts = { forward: DAY_MS, back: -DAY_MS }

for (const [way, shiftMs] of Object.entries(shifts)) {
  attack(
    `H9 with the clock set ${way}, buckets of messages neither refill nor stay empty, and sessions neither end nor last`,
    { plugin: manyRequests, declare: declareLimited },
    async (t, { app }) => {
      const set = setClock(t)
      const raw = await openRaw(t, app)
      for (const id of [1, 2, 3]) t.match(await raw.request('echo', { text: 'x' }, id), { type: '$reply' })
      const { payload: before } = await raw.request('echo', { text: 'x' })
      set(shiftMs)
      const { payload: after } = await raw.request('echo', { text: 'x' })
      t.match([before, after], [{ statusCode: 429 }, { statusCode: 429 }])
      const [waitBefore, waitAfter] = [before, after].map((told) => Number(Reflect.get(Object(told), 'retryAfter')))
      t.ok(Math.abs(Number(waitBefore) - Number(waitAfter)) < 10_000, 'what it says to wait is the same')
      t.match(await raw.request('note', { text: 'x' }), { type: '$reply' }, 'the session goes on')
      const fresh = await openRaw(t, app, { request: { claims: { sub: 'bob' } } })
      t.match(await fresh.request('echo', { text: 'x' }), { type: '$reply' }, 'and others begin')
    }
  )

  attack(`H9 with the clock set ${way}, a ticket is as good as before`, { plugin: manyRequests }, async (t, { app }) => {
    const set = setClock(t)
    const { ticket } = await postTicket(app)
    set(shiftMs)
    const raw = await beginRaw(t, app, { ticket })
    t.equal(statusOf(await raw.answer), 101)
    set(0)
    const again = await beginRaw(t, app, { ticket })
    t.equal(statusOf(await again.answer), 401, 'and is not good twice')
  })
}

for (const [what, plugin] of Object.entries({ user: { issuePerUser: few }, address: { issuePerIp: few } })) {
  attack(
    `H9 with the clock set forward, the bucket of a ${what} for tickets does not refill`,
    { plugin: { ...manyRequests, ...plugin } },
    async (t, { app }) => {
      const set = setClock(t)
      for (let i = 0; i < 3; i++) t.equal((await postTicket(app)).status, 201)
      t.equal((await postTicket(app)).status, 429)
      set(DAY_MS)
      t.equal((await postTicket(app)).status, 429)
    }
  )

  attack(
    `H9 with the clock set back, the bucket of a ${what} for tickets is not empty for longer than before`,
    { plugin: { ...manyRequests, ...plugin } },
    async (t, { app }) => {
      const set = setClock(t)
      for (let i = 0; i < 3; i++) t.equal((await postTicket(app)).status, 201)
      set(-DAY_MS)
      const refused = await postTicket(app)
      t.match(refused, { status: 429 })
      t.ok(refused.retryAfter <= 60, `to wait for ${refused.retryAfter} seconds`)
    }
  )
}

attack('H9 with the clock set back, a ticket lives no longer', { timed: true, plugin: manyRequests }, async (t, scene) => {
  const { app, advance, shiftWall } = scene
  // so that its end is between two rounds of whatever sweeps
  await advance(500)
  const ann = as({ sub: 'ann' })
  const [early, late] = [await issueTicket(app, '/echo', ann), await issueTicket(app, '/echo', ann)]
  shiftWall(-DAY_MS)
  await advance(29_000)
  t.equal(statusOf(await (await beginRaw(t, app, { ticket: early })).answer), 101, 'good for 30 seconds')
  await advance(1000)
  t.equal(statusOf(await (await beginRaw(t, app, { ticket: late })).answer), 401, 'and not a moment longer')
  await advance(2000)
  t.equal(app.wsTicket.stats().tickets, 0, 'nor is it kept')
})

const MINUTE_MS = 60_000
/** What ends a session after a minute; the clock of a timed scene begins at that time. */
const ends = {
  'its JWT': { claims: { exp: (Date.UTC(2026, 0, 1) + MINUTE_MS) / 1000 }, limits: {} },
  maxSession: { claims: {}, limits: { maxSession: MINUTE_MS } }
}

for (const [what, { claims, limits }] of Object.entries(ends)) {
  attack(
    `H9 with the clock set back, a session that ${what} ends lasts no longer`,
    {
      timed: true,
      plugin: manyRequests,
      declare: (app) => app.wsRoute('/echo', { ...manyMessages, ...limits, contract: echoContract, handlers: echoHandlers })
    },
    async (t, { app, advance, shiftWall }) => {
      const client = await connect(t, app, '/echo', as({ sub: 'ann', ...claims }))
      shiftWall(-DAY_MS)
      await advance(MINUTE_MS - 1000)
      t.equal(client.socket.readyState, client.socket.OPEN, 'it lasts a minute')
      await advance(2000)
      const isClosed = await inTime(client.closed, 60_000)
      t.same(isClosed && (await client.closed), { code: 4401, reason: 'session expired' }, 'and not a moment longer')
    }
  )
}
