import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { type AttackOptions, attack } from '../fixtures/attack.js'
import { portOf } from '../fixtures/client.js'
import { Closings } from '../fixtures/closings.js'
import { connectRaw, type RawSocket } from '../fixtures/raw-socket.js'
import { issueTicket } from '../fixtures/tickets.js'
import { as } from '../fixtures/timed-app.js'
import { handshakeBytes } from '../fixtures/upgrade.js'

const TEXT = 0x81
const TEXT_FRAGMENT = 0x01
const CONTINUATION = 0x00
const PONG = 0x8a
const PING = 0x89

/** A frame whose mask is zero, so that the payload stands in it as it is. */
function frame(first: number, payload = ''): Buffer {
  return Buffer.concat([Buffer.from([first, 0x80 | payload.length, 0, 0, 0, 0]), Buffer.from(payload)])
}

const CLOSE = frame(0x88)

/** Routes at `/echo` that tell how their connections are closed. */
function closingRoute(limits: object = {}): { closings: Closings; declare: NonNullable<AttackOptions['declare']> } {
  const closings = new Closings()
  const declare = (app: FastifyInstance) =>
    app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, onClose: closings.onClose, ...limits })
  return { closings, declare }
}

async function openRaw(t: Test, app: FastifyInstance): Promise<RawSocket> {
  const raw = await connectRaw(t, portOf(app))
  raw.write(handshakeBytes('/echo', await issueTicket(app, '/echo', as({ sub: 'ann' }))))
  await raw.until('$welcome')
  return raw
}

for (const [name, payload] of [
  ['empty', ''],
  ['1-byte', 'x']
] as const) {
  const { closings, declare } = closingRoute()
  attack(`F5 endless ${name} fragments are closed with 4429 before they fill anything`, { timed: true, declare }, async (t, { app }) => {
    const raw = await openRaw(t, app)
    raw.write(frame(TEXT_FRAGMENT, payload))
    const fragments = Buffer.concat(Array.from({ length: 100 }, () => frame(CONTINUATION, payload)))
    let sent = 0
    while (!raw.received.includes('too many frames') && sent < 10_000) {
      raw.write(fragments)
      sent++
      await nextTurn()
    }
    raw.write(CLOSE)
    t.match(await closings.count(1), [{ code: 4429, reason: 'too many frames that are no message' }])
    await raw.ended
  })
}

/** What `frameLimit` lets pass at once while its clock stands still. */
const ALLOWED = 200

/** Waits until the server has read all that was written, by a ping that it answers, unless it has closed. */
async function untilRead(raw: RawSocket, name: string): Promise<void> {
  raw.write(frame(PING, name))
  while (!raw.received.includes(name) && !raw.received.includes('too many frames')) await once(raw.socket, 'data')
}

for (const [name, payload] of [
  ['empty', ''],
  ['1-byte', 'x']
] as const) {
  const { closings, declare } = closingRoute()
  attack(`F5 of ${name} fragments two hundred are taken, and not one more`, { timed: true, declare }, async (t, { app }) => {
    const raw = await openRaw(t, app)
    // a ping counts like a fragment
    const fragments = [frame(TEXT_FRAGMENT, payload), ...Array.from({ length: ALLOWED - 2 }, () => frame(CONTINUATION, payload))]
    raw.write(Buffer.concat(fragments))
    await untilRead(raw, 'as many as are allowed')
    t.equal(closings.all.length, 0)
    t.match(raw.received, 'as many as are allowed', 'so many are taken')

    raw.write(frame(CONTINUATION, payload))
    await untilRead(raw, 'one more')
    // what is closing is not answered any more; the close may come behind a ping that was read with the frame before
    await untilRead(raw, 'another one')
    t.match(raw.received, 'too many frames', 'the next closes')
    t.notMatch(raw.received, 'another one', 'and nothing behind it is taken')
    raw.write(CLOSE)
    t.match(await closings.count(1), [{ code: 4429, reason: 'too many frames that are no message' }])
  })
}

attack('F5 a message in as many fragments as are allowed is a message', { timed: true }, async (t, { app }) => {
  const raw = await openRaw(t, app)
  const text = JSON.stringify({ type: 'echo', id: 1, payload: { text: 'in pieces' } })
  const [first = '', ...others] = text
  raw.write(Buffer.concat([frame(TEXT_FRAGMENT, first), ...others.map((piece) => frame(CONTINUATION, piece)), frame(0x80)]))
  t.match(await raw.until('$reply'), /in pieces/)
})

{
  const { closings, declare } = closingRoute()
  attack('F5 pings that are read and answered are limited as well', { timed: true, declare }, async (t, { app }) => {
    const raw = await openRaw(t, app)
    for (const round of ['first', 'second', 'third', 'fourth']) {
      const echo = frame(TEXT, JSON.stringify({ type: 'echo', id: 1, payload: { text: round } }))
      raw.write(Buffer.concat([...Array.from({ length: 50 }, () => frame(PING, 'p')), echo]))
      await raw.until(round)
    }
    t.equal(closings.all.length, 0, 'two hundred at once are allowed')
    raw.write(frame(PING, 'p'))
    await raw.until('too many frames')
    raw.write(CLOSE)
    t.match(await closings.count(1), [{ code: 4429 }])
  })
}

const beginnings: [string, Buffer][] = [
  ['a header that is cut short', Buffer.from([TEXT])],
  ['a payload that is cut short', frame(TEXT, 'x'.repeat(100)).subarray(0, 50)],
  ['a fragment that no other follows', frame(TEXT_FRAGMENT, '{')]
]
for (const [what, bytes] of beginnings) {
  const { closings, declare } = closingRoute({ pingInterval: '1 hour' })
  attack(
    `F6 a message begun and never finished is closed at the deadline: ${what}`,
    { timed: true, declare },
    async (t, { app, advance }) => {
      const raw = await openRaw(t, app)
      raw.write(bytes)
      await advance(19_000)
      t.equal(closings.all.length, 0, 'it has 20 seconds')
      await advance(2000)
      await advance(2000)
      t.match(await closings.count(1), [{ code: 4408, reason: 'a message was not finished' }])
      await raw.ended
    }
  )
}

{
  const { closings, declare } = closingRoute()
  attack(
    'F6 control frames between its fragments, and more fragments, do not keep it alive',
    { timed: true, declare },
    async (t, { app, advance }) => {
      const raw = await openRaw(t, app)
      raw.write(frame(TEXT_FRAGMENT, '{'))
      for (let second = 0; second < 20; second++) {
        await advance(1000)
        raw.write(Buffer.concat([frame(CONTINUATION, ' '), frame(PONG, 'unasked'), frame(PING)]))
      }
      await advance(3000)
      t.match(await closings.count(1), [{ code: 4408, reason: 'a message was not finished' }])
      await raw.ended
    }
  )
}

{
  const { closings, declare } = closingRoute({ pingInterval: '1 hour' })
  attack('F6 a slow message that is finished in time is handled', { timed: true, declare }, async (t, { app, advance }) => {
    const raw = await openRaw(t, app)
    const bytes = frame(TEXT, JSON.stringify({ type: 'echo', id: 1, payload: { text: 'slowly' } }))
    for (const byte of bytes.subarray(0, 15)) {
      raw.write(Buffer.from([byte]))
      await advance(1000)
    }
    raw.write(bytes.subarray(15))
    t.match(await raw.until('$reply'), /slowly/)
    await advance(30_000)
    t.equal(closings.all.length, 0, 'and nothing is left of the deadline')
  })
}
