import t from 'tap'
import { CloseCode } from '../../src/index.js'
import { connect, manualClock } from '../../src/testing/index.js'
import { buildApp, buildEchoApp, echoContract, echoHandlers, JWT_SECRET } from '../fixtures/app.js'
import { requestTicket } from '../fixtures/tickets.js'

/** Patient, for a machine that is busy. */
const timeout = 30_000
const ann = { user: { sub: 'ann' }, timeout }

t.test('it begins now, and stands still until it is moved', async (t) => {
  const before = Date.now()
  const clock = manualClock()
  clock.every(60_000, () => {})
  const [now, wall] = [clock.now(), clock.wall()]
  t.ok(wall >= before && wall <= Date.now())
  await clock.advance(0)
  t.same([clock.now(), clock.wall()], [now, wall])
  await clock.advance('1.5s')
  t.same([clock.now(), clock.wall()], [now + 1500, wall + 1500])
  for (const wrong of [-1, Number.NaN, Number.POSITIVE_INFINITY, 'soon']) await t.rejects(clock.advance(wrong), { name: 'RangeError' })
  t.same([clock.now(), clock.wall()], [now + 1500, wall + 1500])
})

t.test('it runs what falls due in order, and lets it be answered from one instant to the next', async (t) => {
  const clock = manualClock()
  const start = clock.now()
  const seen: string[] = []
  const stop = clock.every(30, () => {
    seen.push(`a${clock.now() - start}`)
    setImmediate(() => seen.push('answered'))
  })
  clock.every(20, () => seen.push(`b${clock.now() - start}`))
  clock.every(60, () => stop())
  await clock.advance(70)
  t.same(seen, ['b20', 'a30', 'answered', 'b40', 'a60', 'b60', 'answered'])
  t.equal(clock.timers, 2)
})

t.test('who is alive stays so through a session of any length, and is told that it ends', async (t) => {
  const clock = manualClock()
  const app = await buildEchoApp(t, { plugin: { clock, maxSession: '5 minutes' } })
  const connections = await Promise.all(Array.from({ length: 10 }, () => connect<typeof echoContract>(app, '/echo', ann)))
  await clock.advance('4 minutes')
  for (const connection of connections) {
    t.same(connection.unread, [{ type: '$expiring', payload: { expiresAt: connection.expiresAt } }])
    t.same(await connection.request('echo', { text: 'here' }), { text: 'here' })
  }
  await clock.advance('1 minute')
  for (const connection of connections) t.match(await connection.closed(), { code: CloseCode.sessionExpired })
  await app.close()
  t.equal(clock.timers, 0)
})

t.test('who does not answer is given up, and so is everybody where no time is left to answer', async (t) => {
  const clock = manualClock()
  const app = await buildEchoApp(t, { plugin: { clock, pingInterval: '25 seconds', pongTimeout: '10 seconds' } })
  const silent = await connect(app, '/echo', { ...ann, autoPong: false })
  const alive = await connect(app, '/echo', ann)
  await clock.advance('34 seconds')
  t.equal(app.wsTicket.stats().connections, 2)
  await clock.advance('1 second')
  t.same(await silent.closed(), { code: CloseCode.unresponsive, reason: 'no pong' })
  t.equal(app.wsTicket.stats().connections, 1)
  clock.tick(35_000)
  t.same(await alive.closed(), { code: CloseCode.unresponsive, reason: 'no pong' })
})

t.test('tokens that run out by it are made and refused by it', async (t) => {
  const clock = manualClock()
  const app = await buildEchoApp(t, { plugin: { clock }, jwt: { secret: JWT_SECRET, sign: { expiresIn: '3m' } } })
  const token = app.jwt.sign({ sub: 'ann' })
  const connection = await connect(app, '/echo', ann)
  const first = connection.expiresAt
  t.ok(Math.abs(first - clock.wall() - 3 * 60_000) <= 1000)
  await clock.advance('2 minutes')
  t.equal(await connection.refresh(), first + 2 * 60_000)
  await clock.advance('2 minutes')
  await t.rejects(connect(app, '/echo', { token, timeout }), { code: 'FST_WS_TICKET_UNAUTHENTICATED' })
  await connection.refresh()
  await clock.advance('2 minutes')
  await connection.flushed()
  await connect(app, '/echo', ann)
})

t.test('tickets, rates and their violations go by it', async (t) => {
  const clock = manualClock()
  const app = await buildApp(t, { plugin: { clock, maxTicketsPerUser: 1, issuePerUser: { max: 3, timeWindow: '1 minute' } } })
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, rateLimit: { max: 1, timeWindow: '10 seconds' } })
  await app.ready()
  t.equal((await requestTicket(app, '/echo')).statusCode, 201)
  await t.rejects(connect(app, '/echo', ann), { code: 'FST_WS_TICKET_TOO_MANY_TICKETS', retryAfter: 30_000 })
  await clock.advance('30 seconds')
  const connection = await connect<typeof echoContract>(app, '/echo', ann)
  await t.rejects(connect(app, '/echo', ann), { code: 'FST_WS_TICKET_TOO_MANY_REQUESTS', retryAfter: 30_000 })
  await clock.advance('30 seconds')
  await connect(app, '/echo', ann)
  await connection.request('echo', { text: '1' })
  await t.rejects(connection.request('echo', { text: '2' }), { code: 'FST_WS_TICKET_RATE_LIMITED', retryAfter: 10_000 })
  await clock.advance('10 seconds')
  await connection.request('echo', { text: '3' })
})

t.test('somebody may set it on the wall, which is nothing to what is due', async (t) => {
  const clock = manualClock()
  clock.every(60_000, () => {})
  const [now, wall] = [clock.now(), clock.wall()]
  clock.setWall(wall + 3_600_000)
  await clock.advance(10)
  t.same([clock.now(), clock.wall()], [now + 10, wall + 3_600_010])
})

t.test('one that no app goes by is not moved: that would show nothing', async (t) => {
  const clock = manualClock()
  const now = clock.now()
  await t.rejects(clock.advance('2 hours'), {
    name: 'TypeError',
    message: 'No app goes by this clock; give it to the plugin before it is moved: app.register(wsTicket, { clock, … }).'
  })
  t.equal(clock.now(), now)
  const app = await buildApp(t, { plugin: { clock } })
  await clock.advance('2 minutes')
  await app.close()
  await clock.advance('1 hour')
  t.equal(clock.now(), now + 62 * 60_000, 'and one whose app is closed still is')
})
