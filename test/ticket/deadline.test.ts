import { setImmediate as nextTurn } from 'node:timers/promises'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { connectFrom } from '../fixtures/attacker.js'
import { listen } from '../fixtures/client.js'
import { HeldUpgrades } from '../fixtures/held-upgrades.js'
import { captureLog, type LogLine } from '../fixtures/log.js'
import type { ManualClock } from '../fixtures/manual-clock.js'
import { requestBytes } from '../fixtures/raw-socket.js'
import { requestTicket } from '../fixtures/tickets.js'
import { as, buildTimedApp, type TimedApp } from '../fixtures/timed-app.js'
import { until } from '../fixtures/until.js'

const echo = { contract: echoContract, handlers: echoHandlers }
const ann = { sub: 'ann' }

/** What is waited for, and does not settle before it is told to. */
function heldStep(): { held: HeldUpgrades; step: () => Promise<void> } {
  const held = new HeldUpgrades()
  held.hold()
  return { held, step: () => held.hook({ ws: true }) }
}

async function timedApp(t: Test): Promise<TimedApp & { lines: LogLine[] }> {
  const { logger, lines } = captureLog()
  return { ...(await buildTimedApp(t, { server: { logger }, plugin: { handshakeTimeout: '2 seconds' } })), lines }
}

/** Nothing is answered until the deadline, and 503 then. */
async function isLate(t: Test, clock: ManualClock, asked: Promise<LightMyRequestResponse>): Promise<void> {
  let isAnswered = false
  void asked.then(() => {
    isAnswered = true
  })
  clock.advance(1999)
  await nextTurn()
  t.notOk(isAnswered)
  clock.advance(1)
  const response = await asked
  t.match(response.json(), { statusCode: 503, code: 'FST_WS_TICKET_UNAVAILABLE' })
  t.equal(response.headers['retry-after'], '1')
}

for (const [what, body] of Object.entries({ 'no body': undefined, 'a body': '{}' })) {
  t.test(`E2 an authorize that does not settle is answered by the deadline, with ${what}, and issues nothing later`, async (t) => {
    const { app, clock, lines } = await timedApp(t)
    const { held, step } = heldStep()
    app.wsRoute('/echo', { ...echo, authorize: step })
    await app.ready()
    const { timers } = clock
    const asked = requestTicket(app, '/echo', as(ann, { body }))
    await held.whenHeld(1)
    await isLate(t, clock, asked)
    held.letGo()
    await nextTurn()
    const { tickets, totals } = app.wsTicket.stats()
    t.equal(tickets, 0)
    t.strictSame(totals.routes['/echo']?.tickets, { FST_WS_TICKET_UNAVAILABLE: 1 })
    t.equal(clock.timers, timers, 'no timer is left')
    const told = lines.filter(({ level }) => level >= 40)
    t.match(told, [{ level: 50, err: { code: 'FST_WS_TICKET_UNAVAILABLE', message: /not answered within handshakeTimeout/ } }])
    t.equal(told.length, 1)
  })

  t.test(`E2 a hook that does not settle is answered by the deadline, with ${what}`, async (t) => {
    for (const name of ['onRequest', 'preParsing', 'preValidation', 'preHandler']) {
      const { app, clock } = await timedApp(t)
      const { held, step } = heldStep()
      let isAuthorized = false
      app.wsRoute('/echo', {
        ...echo,
        [name]: async () => await step(),
        authorize: () => {
          isAuthorized = true
        }
      })
      const asked = requestTicket(app, '/echo', as(ann, { body }))
      await held.whenHeld(1)
      await isLate(t, clock, asked)
      held.letGo()
      await nextTurn()
      t.notOk(isAuthorized, `${name}: it is not gone on with`)
    }
  })
}

t.test('nothing is left of the deadline of a request that is answered in time', async (t) => {
  const { app, clock } = await timedApp(t)
  app.wsRoute('/echo', echo)
  await app.ready()
  const { timers } = clock
  t.equal((await requestTicket(app, '/echo', as(ann))).statusCode, 201)
  t.equal((await requestTicket(app, '/echo', as({}))).statusCode, 401)
  t.equal(clock.timers, timers)
})

t.test('nothing is left of the deadline of a client that is gone', async (t) => {
  const { app, clock } = await timedApp(t)
  const { held, step } = heldStep()
  app.wsRoute('/echo', { ...echo, authorize: step })
  const port = await listen(app)
  const { timers } = clock
  const { headers = {} } = as(ann, {
    headers: { Host: 'localhost', Origin: 'https://app.example.com', 'Content-Type': 'application/json' }
  })
  const raw = await connectFrom(t, port)
  raw.write(
    requestBytes('POST /echo/ticket HTTP/1.1', Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])))
  )
  await held.whenHeld(1)
  t.equal(clock.timers, timers + 1)
  raw.socket.resetAndDestroy()
  await until(() => clock.timers === timers)
  held.letGo()
})

t.test('the deadline leaves alone what a hook of the app has taken charge of', async (t) => {
  const { app, clock, lines } = await timedApp(t)
  const { held, step } = heldStep()
  app.wsRoute('/echo', {
    ...echo,
    async preHandler(_request, reply) {
      reply.hijack()
      await step()
      reply.raw.end('{"told":"by the app"}')
    }
  })
  const asked = requestTicket(app, '/echo', as(ann))
  await held.whenHeld(1)
  clock.advance(2000)
  held.letGo()
  t.same((await asked).json(), { told: 'by the app' })
  t.same(
    lines.filter(({ level }) => level >= 40),
    []
  )
})
