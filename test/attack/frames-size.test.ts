import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { attack } from '../fixtures/attack.js'
import { CountedEcho, echo, manyRequests } from '../fixtures/counted-echo.js'
import { fragments, frame, messageFrame, Opcode, openRaw, type RawClient } from '../fixtures/frames.js'

const LIMIT = 65_536
const tooBig = { code: 1009 }

/** A message of just so many bytes: what is more than needed is blanks behind it. */
function messageOf(bytes: number): string {
  return JSON.stringify(echo('large')).padEnd(bytes)
}

/** Only headers are written: whoever waits for the payload waits for ever, so that the close shows that nothing was kept. */
async function isClosedByHeader(t: Test, raw: RawClient, header: Buffer, what: string): Promise<void> {
  raw.write(header)
  t.match(await raw.closed, tooBig, what)
  raw.raw.socket.destroy()
}

const declared = new CountedEcho()
attack(
  'F4 a length over the limit is closed with 1009 as soon as it is declared',
  { plugin: manyRequests, declare: declared.declare },
  async (t, { app }) => {
    const lengths = [
      LIMIT + 1,
      2 ** 31 - 1,
      2 ** 31,
      2n ** 32n,
      2n ** 32n + 1n,
      2n ** 53n - 1n,
      2n ** 53n,
      2n ** 63n - 1n,
      2n ** 63n,
      2n ** 64n - 1n
    ]
    for (const length of lengths) {
      for (const opcode of [Opcode.text, Opcode.binary]) {
        for (const fin of [true, false]) {
          const raw = await openRaw(t, app)
          await isClosedByHeader(t, raw, frame({ opcode, fin, length }), `opcode ${opcode}, fin ${fin}: ${length} bytes are announced`)
        }
      }
    }
    t.same(declared.handled, [])
  }
)

const summed = new CountedEcho()
attack(
  'F4 fragments that are too much together are closed with 1009 at the header of the one too many',
  { plugin: manyRequests, declare: summed.declare },
  async (t, { app }) => {
    const part = Buffer.alloc(LIMIT / 4, ' ')
    for (const length of [1, LIMIT, 2n ** 32n, 2n ** 63n]) {
      const raw = await openRaw(t, app)
      raw.write(
        ...fragments(messageOf(LIMIT / 4), part, part, part).slice(0, 3),
        frame({ opcode: Opcode.continuation, fin: false, payload: part })
      )
      await raw.flushed()
      await isClosedByHeader(t, raw, frame({ opcode: Opcode.continuation, length }), `a full message, and ${length} bytes more`)
    }
    const interrupted = await openRaw(t, app)
    const ping = frame({ opcode: Opcode.ping })
    for (const piece of fragments(messageOf(LIMIT / 4), part, part, part, 'x')) interrupted.write(piece, ping)
    t.match(await interrupted.closed, tooBig, 'pings between the fragments change nothing')
    t.same(summed.handled, [])
  }
)

const exact = new CountedEcho()
attack(
  'F4 a message of exactly the limit is handled, whole or in fragments, again and again',
  { plugin: manyRequests, declare: exact.declare },
  async (t, { app }) => {
    const raw = await openRaw(t, app)
    const message = messageOf(LIMIT)
    for (let i = 0; i < 3; i++) {
      raw.write(messageFrame(message))
      t.match(await raw.next(), { type: '$reply' })
      raw.write(...fragments(message.slice(0, 1), message.slice(1, 40_000), message.slice(40_000)))
      t.match(await raw.next(), { type: '$reply' })
    }
    t.equal(exact.handled.length, 6)
    raw.write(frame({ payload: messageOf(LIMIT + 1) }), messageFrame(echo('behind it')))
    t.match(await raw.closed, tooBig)
    t.equal(exact.handled.length, 6, 'one byte more is not handled, nor what is behind it')
  }
)

const own = new CountedEcho()
attack(
  "F4 a route's own smaller limit is closed with 1009 as soon as it is exceeded, before anything is kept",
  { plugin: manyRequests, declare: (app) => own.declare(app, { maxPayload: 1000 }) },
  async (t, { app }) => {
    const raw = await openRaw(t, app)
    raw.write(messageFrame(messageOf(1000)))
    t.match(await raw.next(), { type: '$reply' })
    const late = delay(60_000, 'what was announced is waited for', { ref: false })
    raw.write(frame({ length: 1001 }))
    t.match(await Promise.race([raw.closed, late]), tooBig)
    t.same(own.handled, ['large'])
  }
)

const whole = new CountedEcho()
attack(
  "F4 a message over a route's own smaller limit is closed with 1009 and not handled",
  { plugin: manyRequests, declare: (app) => whole.declare(app, { maxPayload: 1000 }) },
  async (t, { app }) => {
    const parts = [messageOf(1000), ' ']
    for (const bytes of [[messageFrame(parts.join(''))], fragments(...parts)]) {
      const raw = await openRaw(t, app)
      raw.write(...bytes, messageFrame(echo('behind it')))
      t.match(await raw.closed, tooBig)
    }
    t.same(whole.handled, [])
  }
)
