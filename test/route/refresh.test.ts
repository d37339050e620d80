import t, { type Test } from 'tap'
import type { Connection } from '../../src/index.js'
import { echoContract, echoHandlers, ORIGIN } from '../fixtures/app.js'
import { type Client, connectInjected } from '../fixtures/client.js'
import { captureLog } from '../fixtures/log.js'
import { issueTicket } from '../fixtures/tickets.js'
import { as, buildTimedApp, expiresIn } from '../fixtures/timed-app.js'

async function buildRefreshApp(t: Test, plugin = {}) {
  const log = captureLog()
  const { app, clock } = await buildTimedApp(t, { plugin: { pingInterval: '1 hour', ...plugin }, server: { logger: log.logger } })
  const route = app.wsRoute('/rooms/:room', {
    contract: echoContract,
    handlers: echoHandlers,
    authorize: (request) => ({ plan: String(request.headers['x-plan'] ?? 'free') })
  })
  app.wsRoute('/other', { contract: echoContract, handlers: echoHandlers })
  return { app, clock, route, log }
}

function snapshot({ user, context, expiresAt }: Connection) {
  return structuredClone({ user, context, expiresAt })
}

async function welcomed(client: Client): Promise<string> {
  const { payload } = await client.next()
  return String(Object(payload).connection)
}

t.test('a new ticket extends the session on the open socket and replaces claims and context', async (t) => {
  const { app, clock, route } = await buildRefreshApp(t)
  const client = await connectInjected(app, '/rooms/1', as({ sub: 'ann', role: 'guest', exp: expiresIn(clock, 60_000) }))
  const id = await welcomed(client)
  const [connection] = route.connections()
  clock.advance(30_000)
  t.match(await client.next(), { type: '$expiring' })
  const exp = expiresIn(clock, 120_000)
  const ticket = await issueTicket(
    app,
    '/rooms/1',
    as({ sub: 'ann', role: 'admin', exp }, { body: { refresh: id }, headers: { 'x-plan': 'paid' } })
  )
  t.strictSame(await client.request('$refresh', { ticket }, 8), { type: '$reply', id: 8, payload: { expiresAt: exp * 1000 } })
  t.match(connection, { id, user: { sub: 'ann', role: 'admin', exp }, userId: 'ann', context: { plan: 'paid' }, expiresAt: exp * 1000 })

  clock.advance(59_750)
  t.match(await client.request('echo', { text: 'still here' }), { type: '$reply' }, 'beyond the first JWT')
  clock.advance(250)
  t.match(await client.next(), { type: '$expiring', payload: { expiresAt: exp * 1000 } }, 'and is told anew of the new end')
  clock.advance(60_000)
  t.match(await client.closed, { code: 4401 })
})

t.test('a ticket that is bound to no connection refreshes as well, and without an id there is no reply', async (t) => {
  const { app, clock, route } = await buildRefreshApp(t)
  const client = await connectInjected(app, '/rooms/1', as({ sub: 'ann', exp: expiresIn(clock, 60_000) }))
  await client.next()
  const exp = expiresIn(clock, 90_000)
  client.send({ type: '$refresh', payload: { ticket: await issueTicket(app, '/rooms/1', as({ sub: 'ann', exp })) } })
  t.match(await client.request('echo', { text: 'next' }, 2), { type: '$reply', id: 2 })
  t.equal(route.connections()[0]?.expiresAt, exp * 1000)
})

t.test('C2 C6 C10 C13 a ticket that is not for this connection is refused, and nothing is changed', async (t) => {
  const { app, clock, route, log } = await buildRefreshApp(t)
  const exp = expiresIn(clock, 600_000)
  const client = await connectInjected(app, '/rooms/1', as({ sub: 'ann', exp }))
  await client.next()
  const foreigner = await connectInjected(app, '/rooms/1', as({ sub: 'ann', exp }))
  const foreignId = await welcomed(foreigner)
  const [connection] = route.connections()
  if (!connection) throw new Error('there is no connection')
  const before = snapshot(connection)
  const longer = { sub: 'ann', exp: exp + 60 }
  const used = await issueTicket(app, '/rooms/1', as(longer))
  await foreigner.request('$refresh', { ticket: used })
  const expired = await issueTicket(app, '/rooms/1', as({ sub: 'ann', exp: expiresIn(clock, 1000) }))
  clock.advance(1000)

  const good = {
    'of another user': [await issueTicket(app, '/rooms/1', as({ ...longer, sub: 'bob' })), '/rooms/1'],
    'of another path': [await issueTicket(app, '/rooms/2', as(longer)), '/rooms/2'],
    'of another route': [await issueTicket(app, '/other', as(longer)), '/other']
  } as const
  const bad = {
    used,
    expired,
    'never issued': 'A'.repeat(43),
    'no ticket at all': '__proto__',
    'for another connection': await issueTicket(app, '/rooms/1', as(longer, { body: { refresh: foreignId } })),
    ...Object.fromEntries(Object.entries(good).map(([name, [ticket]]) => [name, ticket]))
  }
  for (const [name, ticket] of Object.entries(bad)) {
    t.match(
      await client.request('$refresh', { ticket }, 5),
      { type: '$error', id: 5, payload: { code: 'FST_WS_TICKET_INVALID_TICKET', statusCode: 401 } },
      name
    )
    t.same(snapshot(connection), before, name)
  }
  t.match(
    log.lines.filter(({ code }) => code === 'FST_WS_TICKET_TICKET_REPLAYED'),
    [{ level: 40, user: 'ann', connection: foreignId }],
    'the replay is noticed'
  )
  for (const [name, [ticket, path]] of Object.entries(good)) {
    const protocols = `fastify-ws-ticket.v1, ticket.${ticket}`
    await t.resolves(
      app.injectWS(path, { headers: { host: 'localhost', origin: ORIGIN, 'sec-websocket-protocol': protocols } }),
      `the ticket ${name} is still good where it belongs`
    )
  }
})

t.test('C13 a ticket of another origin does not refresh', async (t) => {
  const other = 'https://other.example.com'
  const { app, route } = await buildRefreshApp(t, { allowedOrigins: [ORIGIN, other] })
  const client = await connectInjected(app, '/rooms/1', as({ sub: 'ann', name: 'before' }))
  await client.next()
  const ticket = await issueTicket(app, '/rooms/1', as({ sub: 'ann', name: 'after' }, { headers: { origin: other } }))
  t.match(await client.request('$refresh', { ticket }), { type: '$error', payload: { statusCode: 401 } })
  t.match(route.connections()[0]?.user, { name: 'before' })
})

t.test('a ticket that is bound to a connection opens no other', async (t) => {
  const { app } = await buildRefreshApp(t)
  const client = await connectInjected(app, '/rooms/1', as({ sub: 'ann' }))
  const id = await welcomed(client)
  const ticket = await issueTicket(app, '/rooms/1', as({ sub: 'ann' }, { body: { refresh: id } }))
  await t.rejects(
    app.injectWS('/rooms/1', {
      headers: { host: 'localhost', origin: ORIGIN, 'sec-websocket-protocol': `fastify-ws-ticket.v1, ticket.${ticket}` }
    }),
    { message: 'Unexpected server response: 401' }
  )
  t.equal(app.wsTicket.stats().connections, 1)
  t.match(await client.request('$refresh', { ticket }), { type: '$reply' }, 'and is not burnt')
})

t.test('C2 with replay: disconnect a refresh ticket that is used again closes the connection that used it first', async (t) => {
  const { app } = await buildRefreshApp(t, { replay: 'disconnect' })
  const first = await connectInjected(app, '/rooms/1', as({ sub: 'ann' }))
  await first.next()
  const second = await connectInjected(app, '/rooms/1', as({ sub: 'ann' }))
  await second.next()
  const ticket = await issueTicket(app, '/rooms/1', as({ sub: 'ann' }))
  t.match(await first.request('$refresh', { ticket }), { type: '$reply' })
  t.match(await second.request('$refresh', { ticket }), { type: '$error', payload: { statusCode: 401 } })
  t.strictSame(await first.closed, { code: 4409, reason: 'its ticket was used again' })
  t.match(await second.request('echo', { text: 'still here' }), { type: '$reply' })
})

t.test('a $refresh of another form is a bad message', async (t) => {
  const { app } = await buildRefreshApp(t)
  const client = await connectInjected(app, '/rooms/1', as({ sub: 'ann' }))
  await client.next()
  for (const payload of [undefined, null, {}, 'ticket', { ticket: 1 }, { ticket: ['a'] }, { ticket: 'a', more: 1 }]) {
    t.match(
      await client.request('$refresh', payload),
      { type: '$error', payload: { code: 'FST_WS_TICKET_INVALID_PAYLOAD' } },
      JSON.stringify(payload)
    )
  }
})

t.test('C11 guesses in $refresh are limited: the store is asked, and the log written to, ten times a minute at most', async (t) => {
  const { app, clock, log } = await buildRefreshApp(t)
  const client = await connectInjected(app, '/rooms/1', as({ sub: 'ann' }))
  await client.next()
  const ticket = await issueTicket(app, '/rooms/1', as({ sub: 'ann' }))
  t.match(await client.request('$refresh', { ticket }), { type: '$reply' })
  const replays = () => log.lines.filter(({ code }) => code === 'FST_WS_TICKET_TICKET_REPLAYED').length
  for (let i = 0; i < 9; i++) t.match(await client.request('$refresh', { ticket }), { payload: { code: 'FST_WS_TICKET_INVALID_TICKET' } })
  for (let i = 0; i < 20; i++) t.match(await client.request('$refresh', { ticket }), { payload: { code: 'FST_WS_TICKET_RATE_LIMITED' } })
  t.equal(replays(), 9)
  clock.advance(6000)
  t.match(await client.request('$refresh', { ticket }), { payload: { code: 'FST_WS_TICKET_INVALID_TICKET' } }, 'and one more after a while')
})
