import { setImmediate as nextTurn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { connect, listen, portOf } from '../fixtures/client.js'
import { Closings } from '../fixtures/closings.js'
import { connectRaw, handshakeHeaders, requestBytes } from '../fixtures/raw-socket.js'
import { issueTicket } from '../fixtures/tickets.js'
import { as, buildTimedApp } from '../fixtures/timed-app.js'

/** An app whose `note` is handled until it is told to be done. */
async function buildBusyApp(t: Test) {
  const { app, clock } = await buildTimedApp(t)
  const closings = new Closings()
  const started: string[] = []
  const running: (() => void)[] = []
  app.wsRoute('/echo', {
    contract: echoContract,
    handlers: {
      ...echoHandlers,
      async note({ text }) {
        started.push(text)
        await new Promise<void>((resolve) => running.push(resolve))
      }
    },
    onClose: closings.onClose
  })
  await listen(app)
  const untilStarted = async (count: number) => {
    while (started.length < count) await nextTurn()
  }
  return { app, clock, closings, started, running, untilStarted }
}

/** Begins to close the app while a message of a client is being handled. */
async function closeWhileHandling(t: Test, { app, untilStarted }: Awaited<ReturnType<typeof buildBusyApp>>) {
  const client = await connect(t, app, '/echo', as({ sub: 'ann' }))
  await client.next()
  client.send({ type: 'note', id: 1, payload: { text: 'running' } })
  await untilStarted(1)
  const closing = app.close()
  await nextTurn()
  return { client, closing }
}

t.test('I6 at shutdown idle connections are told 1012, and the app is closed when they are', async (t) => {
  const { app, clock } = await buildBusyApp(t)
  const clients = [await connect(t, app, '/echo', as({ sub: 'ann' })), await connect(t, app, '/echo', as({ sub: 'bob' }))]
  await app.close()
  for (const client of clients) t.strictSame(await client.closed, { code: 1012, reason: 'the server restarts' })
  t.match(app.wsTicket.stats(), { connections: 0, tickets: 0, counted: { users: 0, ips: 0 } })
  t.equal(clock.timers, 0, 'no timer is left')
})

t.test('I6 a running handler finishes and is answered; what waits or comes later is not handled', async (t) => {
  const { app, clock, started, running, untilStarted, closings } = await buildBusyApp(t)
  const client = await connect(t, app, '/echo', as({ sub: 'ann' }))
  await client.next()
  client.send({ type: 'note', id: 1, payload: { text: 'running' } })
  client.send({ type: 'note', id: 2, payload: { text: 'waiting' } })
  await untilStarted(1)
  const closing = app.close()
  await nextTurn()
  client.send({ type: 'note', id: 3, payload: { text: 'late' } })
  clock.advance(1000)
  t.equal(closings.all.length, 0)
  for (const finish of running) finish()
  t.match(await client.next(), { type: '$reply', id: 1, payload: null })
  clock.advance(250)
  t.strictSame(await client.closed, { code: 1012, reason: 'the server restarts' })
  await closing
  t.same(started, ['running'])
  t.match(await closings.count(1), [{ code: 1012 }])
})

t.test('I6 a client that leaves by itself before its handler has finished has closed it, with its own code', async (t) => {
  const busy = await buildBusyApp(t)
  const { app, closings, running } = busy
  const { client, closing } = await closeWhileHandling(t, busy)
  client.socket.close(1000, 'bye')
  t.match(await closings.count(1), [{ code: 1000, reason: 'bye' }])
  t.match(app.wsTicket.stats().totals.routes, { '/echo': { closes: { 1000: 1 } } })
  for (const finish of running) finish()
  await closing
})

t.test('I6 a handler that never finishes holds the shutdown no longer than closeTimeout', async (t) => {
  const busy = await buildBusyApp(t)
  const { clock } = busy
  const { client, closing } = await closeWhileHandling(t, busy)
  clock.advance(1750)
  t.equal(client.socket.readyState, client.socket.OPEN)
  clock.advance(250)
  t.match(await client.closed, { code: 1012 })
  await closing
})

t.test('I6 a client that ignores the close frame holds the shutdown no longer than closeTimeout', async (t) => {
  const { app, clock, closings } = await buildBusyApp(t)
  const raw = await connectRaw(t, portOf(app))
  raw.write(requestBytes('GET /echo HTTP/1.1', handshakeHeaders(await issueTicket(app, '/echo', as({ sub: 'ann' })))))
  await raw.until('$welcome')
  const closing = app.close()
  await raw.until('the server restarts')
  clock.advance(1750)
  t.equal(closings.all.length, 0)
  clock.advance(250)
  await raw.ended
  await closing
  t.match(await closings.count(1), [{ code: 1012 }])
  t.equal(clock.timers, 0)
})

t.test('a connection whose onOpen is at work is told 1012 as well', async (t) => {
  const { app } = await buildTimedApp(t)
  app.wsRoute('/slow', { contract: echoContract, handlers: echoHandlers, onOpen: () => new Promise(() => {}) })
  await listen(app)
  const client = await connect(t, app, '/slow', as({ sub: 'ann' }))
  const closing = app.close()
  t.match(await client.closed, { code: 1012 })
  await closing
})

t.test('a connection that is closing already keeps its code at shutdown', async (t) => {
  const { app } = await buildBusyApp(t)
  const client = await connect(t, app, '/echo', as({ sub: 'ann' }))
  app.wsTicket.connections()[0]?.close(4000, 'before')
  await app.close()
  t.strictSame(await client.closed, { code: 4000, reason: 'before' })
})

t.test('I6 a shutdown waits for onClose to be done, and no longer than closeTimeout', async (t) => {
  for (const isFinished of [true, false]) {
    const { app, clock } = await buildTimedApp(t)
    const running: (() => void)[] = []
    app.wsRoute('/echo', {
      contract: echoContract,
      handlers: echoHandlers,
      onClose: async () => await new Promise<void>((resolve) => running.push(resolve))
    })
    await listen(app)
    const client = await connect(t, app, '/echo', as({ sub: 'ann' }))
    let isClosed = false
    const closing = app.close().then(() => {
      isClosed = true
    })
    await client.closed
    while (running.length === 0) await nextTurn()
    clock.advance(1750)
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    t.notOk(isClosed, 'it waits')
    if (isFinished) for (const finish of running) finish()
    else clock.advance(500)
    await closing
    t.ok(isClosed, isFinished ? 'until it is done' : 'until its time is up')
  }
})
