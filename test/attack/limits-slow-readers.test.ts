import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { FastifyInstance } from 'fastify'
import type { Connection } from '../../src/index.js'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { connect } from '../fixtures/client.js'
import { Closings } from '../fixtures/closings.js'
import { type FrameShape, frame, Opcode, openRaw, type RawClient } from '../fixtures/frames.js'
import { outsideTap, STRIP_TYPES } from '../fixtures/processes.js'

const MAX_BUFFERED = 200_000
/** What the system itself may take in for one connection, both ways, is far below. */
const ENOUGH_BYTES = 200_000_000

/** A route that publishes to all, and keeps how its connections end. */
class NewsRoute {
  readonly closings = new Closings()

  readonly declare = (app: FastifyInstance): void => {
    app.wsRoute('/echo', {
      contract: echoContract,
      handlers: echoHandlers,
      maxBuffered: MAX_BUFFERED,
      closeTimeout: 100,
      onOpen: (connection) => connection.subscribe('all'),
      onClose: this.closings.onClose
    })
  }
}

function connectionOf(app: FastifyInstance, user: string): Connection {
  const connection = app.wsTicket.connections().find(({ userId }) => userId === user)
  if (!connection) throw new Error(`${user} is not connected`)
  return connection
}

/** Writes control frames and reads nothing, until the connection is given up; answers how many bytes it took. */
async function flood({ raw: { socket } }: RawClient, { signal }: Connection, shape: FrameShape): Promise<number> {
  const bytes = Buffer.concat(Array.from({ length: 500 }, () => frame(shape)))
  socket.pause()
  let sent = 0
  while (!signal.aborted && sent < ENOUGH_BYTES) {
    const hasRoom = socket.write(bytes)
    sent += bytes.length
    if (hasRoom) await nextTurn()
    else await Promise.race([once(socket, 'drain').catch(() => {}), once(signal, 'abort')])
  }
  return sent
}

for (const [what, payload] of Object.entries({ 'of 125 bytes': Buffer.alloc(125, 7), 'without data': '' })) {
  const flooded = new NewsRoute()
  attack(`H6 a flood of pings ${what} by a peer that reads nothing is terminated`, { declare: flooded.declare }, async (t, { app }) => {
    const raw = await openRaw(t, app)
    const connection = connectionOf(app, 'ann')
    const sent = await flood(raw, connection, { opcode: Opcode.ping, payload })
    t.ok(connection.signal.aborted, `given up after ${sent} bytes`)
    t.match(await flooded.closings.count(1), [{ connection: { id: connection.id } }])
    t.equal(app.wsTicket.connections().length, 1, 'only the honest one is left, though the peer has closed nothing')
  })
}

const published = new NewsRoute()
attack(
  'H7 a reader that reads nothing is closed with 1013 at the buffer limit, and others lose nothing',
  { declare: published.declare },
  async (t, { app }) => {
    const deaf = await openRaw(t, app)
    deaf.raw.socket.pause()
    const { signal } = connectionOf(app, 'ann')
    const reader = await connect(t, app, '/echo', { claims: { sub: 'bob' } })
    t.match(await reader.next(), { type: '$welcome' })
    let count = 0
    while (!signal.aborted && count < 2000) {
      app.wsTicket.publish('all', 'news', { text: `${count} ${'x'.repeat(60_000)}` })
      const news = await reader.next()
      if (!JSON.stringify(news).includes(`"${count} `)) t.fail(`event ${count} is missing`)
      count++
    }
    t.ok(signal.aborted, `closed after ${count} events`)
    t.equal(app.wsTicket.publish('all', 'news', { text: 'after' }).delivered, 1)
    t.match(await reader.next(), { type: 'news', payload: { text: 'after' } })
    t.match(await published.closings.count(1), [{ code: 1013, reason: 'too slow a reader', connection: { userId: 'ann' } }])
    t.match(await reader.request('echo', { text: 'still here' }), { type: '$reply' })
  }
)

const trickled = new NewsRoute()
attack('H7 a reader that reads a little now and then is closed as well', { declare: trickled.declare }, async (t, { app }) => {
  const slow = await openRaw(t, app)
  const { socket } = slow.raw
  const { signal } = connectionOf(app, 'ann')
  let chunks = 0
  socket.on('data', () => {
    chunks++
    socket.pause()
  })
  socket.pause()
  for (let count = 0; !signal.aborted && count < 2000; count++) {
    app.wsTicket.publish('all', 'news', { text: 'x'.repeat(60_000) })
    if (count % 20 === 0) socket.resume()
    await nextTurn()
  }
  t.ok(signal.aborted && chunks > 0, `closed though it read ${chunks} times`)
  t.match(await trickled.closings.count(1), [{ code: 1013, reason: 'too slow a reader' }])
})

const unanswered = new NewsRoute()
attack(
  'H7 a peer that asks and does not read the answers is closed',
  { plugin: { rateLimit: { max: 1_000_000, timeWindow: 1000 } }, declare: unanswered.declare },
  async (t, { app }) => {
    const raw = await openRaw(t, app)
    const connection = connectionOf(app, 'ann')
    const payload = JSON.stringify({ type: 'echo', id: 1, payload: { text: 'x'.repeat(1000) } })
    const sent = await flood(raw, connection, { payload })
    t.ok(connection.signal.aborted, `given up after ${sent} bytes`)
    t.match(await unanswered.closings.count(1), [{ code: 1013 }])
  }
)

attack('H7 what slow readers kept in memory is given back', {}, async (t) => {
  const script = fileURLToPath(new URL('../fixtures/slow-reader-memory.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(...outsideTap(process.execPath, ['--expose-gc', STRIP_TYPES, script]), { timeout: 120_000 })
  const { codes, before, peak, after } = JSON.parse(stdout)
  t.same(
    codes,
    Array.from({ length: 20 }, () => 1013)
  )
  t.ok(peak < before + 20 * 2.5 * 1_048_576, `little more than twice the limit for each was kept: ${before} before, ${peak} then`)
  t.ok(peak > before + 20 * 1_048_576, 'something was kept')
  t.ok(after < before + 4_000_000, `and it is given back: ${after} after`)
})
