import t from 'tap'
import { Session } from '../../src/connection/session.js'
import type { Clock, Connection } from '../../src/index.js'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { connectInjected } from '../fixtures/client.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { as, buildTimedApp, closeTimed, expiresIn } from '../fixtures/timed-app.js'

const echo = { contract: echoContract, handlers: echoHandlers }
const settings = { maxSessionMs: 3_600_000, expiryNoticeMs: 60_000 }

t.test('a session ends with its JWT, at the latest after maxSession', async (t) => {
  const clock = new ManualClock()
  t.equal(new Session(clock, settings, clock.wall() + 1000).expiresAt, clock.wall() + 1000)
  t.equal(new Session(clock, settings, clock.wall() + 2 * settings.maxSessionMs).expiresAt, clock.wall() + settings.maxSessionMs)
  t.equal(new Session(clock, settings, null).expiresAt, clock.wall() + settings.maxSessionMs)
  t.equal(new Session(clock, settings, clock.wall() + 1000.4).expiresAt, clock.wall() + 1000, 'in whole milliseconds')
})

t.test('a notice is due once, ahead of the end, at most half of the session', async (t) => {
  const clock = new ManualClock()
  const cases = [
    { lengthMs: 600_000, noticeMs: 540_000 },
    { lengthMs: 100_000, noticeMs: 50_000 }
  ]
  for (const { lengthMs, noticeMs } of cases) {
    const session = new Session(clock, settings, clock.wall() + lengthMs)
    const start = clock.now()
    t.equal(session.takeEvent(start + noticeMs - 1), 'none')
    t.equal(session.takeEvent(start + noticeMs), 'notice')
    t.equal(session.takeEvent(start + noticeMs), 'none')
    t.equal(session.takeEvent(start + lengthMs - 1), 'none')
    t.notOk(session.isExpired(start + lengthMs - 1))
    t.equal(session.takeEvent(start + lengthMs), 'expired')
    t.ok(session.isExpired(start + lengthMs))
  }
})

t.test('a session whose JWT has ended already is expired at once', async (t) => {
  const clock = new ManualClock()
  t.equal(new Session(clock, settings, clock.wall() - 1).takeEvent(clock.now()), 'expired')
})

t.test('the client is told ahead of the end, once, and is closed with 4401 at the end of its JWT', async (t) => {
  const { app, clock } = await buildTimedApp(t, { plugin: { pingInterval: '1 hour' } })
  app.wsRoute('/echo', echo)
  const end = clock.wall() + 300_000
  const client = await connectInjected(app, '/echo', as({ sub: 'ann', exp: end / 1000 }))
  t.match(await client.next(), { type: '$welcome', payload: { expiresAt: end } })
  clock.advance(239_000)
  t.match(await client.request('echo', { text: 'before' }), { type: '$reply' }, 'nothing is told before its time')
  clock.advance(1000)
  t.strictSame(await client.next(), { type: '$expiring', payload: { expiresAt: end } })
  clock.advance(59_750)
  t.match(await client.request('echo', { text: 'still' }), { type: '$reply' }, 'nor is it told again')
  clock.advance(250)
  t.strictSame(await client.closed, { code: 4401, reason: 'session expired' })
})

t.test('a session ends after maxSession where the JWT lives longer, or for ever', async (t) => {
  const { app, clock } = await buildTimedApp(t)
  app.wsRoute('/echo', { ...echo, maxSession: 5000 })
  for (const claims of [{ sub: 'ann' }, { sub: 'ann', exp: expiresIn(clock, 60_000) }]) {
    const client = await connectInjected(app, '/echo', as(claims))
    t.match(await client.next(), { payload: { expiresAt: clock.wall() + 5000 } })
    clock.advance(5000)
    t.match(await client.next(), { type: '$expiring' })
    t.match(await client.closed, { code: 4401 })
  }
})

t.test('G8 after the end no message is handled, even when the round that closes is late', async (t) => {
  const clock = new ManualClock()
  const handled: string[] = []
  let isLate = true
  const rounds: Clock = {
    now: () => clock.now(),
    wall: () => clock.wall(),
    every: (ms, task) => clock.every(ms, () => isLate || task())
  }
  const { app } = await buildTimedApp(t, { plugin: { clock: rounds } })
  t.teardown(async () => {
    isLate = false
    await closeTimed({ app, clock })
  })
  app.wsRoute('/echo', { ...echo, handlers: { ...echoHandlers, note: ({ text }) => void handled.push(text) } })
  const client = await connectInjected(app, '/echo', as({ sub: 'ann', exp: expiresIn(clock, 60_000) }))
  await client.next()
  clock.advance(59_999)
  await client.request('note', { text: 'in time' })
  clock.advance(1)
  client.send({ type: 'note', id: 2, payload: { text: 'late' } })
  t.strictSame(await client.closed, { code: 4401, reason: 'session expired' })
  t.same(handled, ['in time'])
})

t.test('H9 setting the clock on the wall forward or back changes nothing for an open session', async (t) => {
  const { app, clock } = await buildTimedApp(t, { plugin: { pingInterval: '1 hour' } })
  const connections: Connection[] = []
  app.wsRoute('/echo', { ...echo, onOpen: (connection) => void connections.push(connection) })
  const client = await connectInjected(app, '/echo', as({ sub: 'ann', exp: expiresIn(clock, 300_000) }))
  const { expiresAt } = Object((await client.next()).payload)
  clock.setWall(clock.wall() + 86_400_000)
  clock.advance(1000)
  t.match(await client.request('echo', { text: 'forward' }), { type: '$reply' })
  clock.setWall(clock.wall() - 2 * 86_400_000)
  clock.advance(1000)
  t.match(await client.request('echo', { text: 'back' }), { type: '$reply' })
  t.equal(connections[0]?.expiresAt, expiresAt)
  clock.advance(298_000)
  t.match(await client.next(), { type: '$expiring' })
  t.match(await client.closed, { code: 4401 }, 'it ends when it would have ended')
})
