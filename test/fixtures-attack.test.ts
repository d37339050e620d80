import { EventEmitter, once } from 'node:events'
import { open as openFile } from 'node:fs/promises'
import { connect as connectTcp, createServer, type Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { buildApp, buildEchoApp, echoContract, echoHandlers } from './fixtures/app.js'
import { connect, listen, portOf } from './fixtures/client.js'
import { run, STRIP_TYPES } from './fixtures/processes.js'
import { connectRaw } from './fixtures/raw-socket.js'
import { SlowStore } from './fixtures/slow-store.js'
import { issueTicket } from './fixtures/tickets.js'
import { handshakeBytes } from './fixtures/upgrade.js'
import { findLeaks, readVitalSigns, untilBack, watchFaults } from './fixtures/vital-signs.js'

const here = fileURLToPath(new URL('.', import.meta.url))

/** What has leaked at the moment, by name only. */
async function leaksSince(app: FastifyInstance, before: Awaited<ReturnType<typeof readVitalSigns>>): Promise<string[]> {
  const leaks = await untilBack(app, before, 0)
  return leaks.map((leak) => leak.slice(0, leak.indexOf(':')))
}

async function listeningApp(t: Test): Promise<FastifyInstance> {
  const app = await buildEchoApp(t)
  await listen(app)
  return app
}

/** A server in this process that is none of the app's. */
async function startBystander(t: Test): Promise<{ server: Server; port: number }> {
  const server = createServer()
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it does not listen')
  return { server, port: address.port }
}

t.test('where nothing happens nothing leaks', async (t) => {
  const app = await listeningApp(t)
  t.same(await untilBack(app, await readVitalSigns(app), 0), [])
})

t.test('a socket that is left open is told, and no more once it is closed', async (t) => {
  const app = await listeningApp(t)
  const { server, port } = await startBystander(t)
  const before = await readVitalSigns(app)
  const accepted = once(server, 'connection')
  const socket = connectTcp(port, '127.0.0.1')
  const [peer] = await accepted
  t.same(await leaksSince(app, before), ['sockets', 'descriptors'])
  socket.destroy()
  peer.destroy()
  t.same(await untilBack(app, before), [])
})

t.test('a server that is left listening is told', async (t) => {
  const app = await listeningApp(t)
  const before = await readVitalSigns(app)
  const { server } = await startBystander(t)
  t.same(await leaksSince(app, before), ['sockets', 'descriptors'])
  server.close()
  t.same(await untilBack(app, before), [])
})

t.test('a file that is left open is told', async (t) => {
  const app = await listeningApp(t)
  const before = await readVitalSigns(app)
  const file = await openFile(fileURLToPath(import.meta.url))
  t.same(await leaksSince(app, before), ['descriptors'])
  await file.close()
  t.same(await untilBack(app, before), [])
})

t.test('a socket on which nothing was sent to the app is told', async (t) => {
  const app = await listeningApp(t)
  const before = await readVitalSigns(app)
  const raw = await connectRaw(t, portOf(app))
  t.same(await leaksSince(app, before), ['sockets', 'descriptors', 'serverSockets'])
  raw.socket.destroy()
  t.same(await untilBack(app, before), [])
})

t.test('a connection that the app still holds is told with what is counted for it, and waited for', async (t) => {
  const app = await buildApp(t)
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, onOpen: (connection) => connection.subscribe('room:1') })
  await listen(app)
  const before = await readVitalSigns(app)
  const client = await connect(t, app, '/echo')
  await client.next()
  t.same(await leaksSince(app, before), ['sockets', 'descriptors', 'serverSockets', 'connections', 'users', 'ips', 'topics'])
  const back = untilBack(app, before)
  client.socket.close()
  t.same(await back, [])
})

t.test('a handshake that the app still holds is told', async (t) => {
  const store = new SlowStore('find')
  const app = await buildEchoApp(t, { plugin: { store } })
  const port = await listen(app)
  const before = await readVitalSigns(app)
  const raw = await connectRaw(t, port)
  raw.write(handshakeBytes('/echo', await issueTicket(app, '/echo')))
  await store.whenAsked()
  t.same(await leaksSince(app, before), ['sockets', 'descriptors', 'serverSockets', 'pendingHandshakes', 'ips'])
  raw.socket.destroy()
  t.same(await untilBack(app, before), [])
})

t.test('what is less than before is no leak, and what is told says how many', async (t) => {
  const app = await listeningApp(t)
  const signs = await readVitalSigns(app)
  const more = { ...signs, connections: signs.connections + 3 }
  t.same(findLeaks(signs, more), ['connections: 0 before, 3 after'])
  t.same(findLeaks(more, signs), [])
})

t.test('faults are told until the watch is stopped', async (t) => {
  const target = new EventEmitter()
  const watch = watchFaults(target)
  target.emit('unhandledRejection', new Error('forgotten'))
  target.emit('uncaughtExceptionMonitor', Object.create(null))
  t.match(watch.faults, [/^unhandled rejection: Error: forgotten/, 'uncaught exception: [Object: null prototype] {}'])
  watch.stop()
  target.emit('unhandledRejection', new Error('later'))
  target.emit('uncaughtExceptionMonitor', new Error('later'))
  t.equal(watch.faults.length, 2)
  t.same(target.eventNames(), [])
})

t.test('faults of a process are told', async (t) => {
  const program = `
    import { watchFaults } from './fixtures/vital-signs.ts'
    const watch = watchFaults()
    process.on('uncaughtException', () => {})
    Promise.reject(new Error('forgotten'))
    setImmediate(() => { throw new Error('thrown') })
    process.once('beforeExit', () => console.log(JSON.stringify(watch.faults.map((fault) => fault.split('\\n')[0]))))`
  const { status, stdout, stderr } = await run(here, process.execPath, [STRIP_TYPES, '--input-type=module', '--eval', program])
  t.equal(status, 0, { stderr })
  t.same(JSON.parse(stdout), ['unhandled rejection: Error: forgotten', 'uncaught exception: Error: thrown'])
})
