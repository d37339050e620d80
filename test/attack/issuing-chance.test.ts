import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createTicket } from '../../src/ticket/ticket.js'
import { attack } from '../fixtures/attack.js'
import { ticketFor } from '../fixtures/attacker.js'

const MILLION = 1_000_000
const ROUND = 5000
const BITS = 256
/** Tickets of each round whose bits are counted. */
const COUNTED = ROUND / 20
const THROWS = (MILLION / ROUND) * COUNTED
/** Of so many throws of a coin; six standard deviations are exceeded by one bit in 500 million. */
const DEVIATION = 6 * Math.sqrt(THROWS / 4)

/** In base64url the last of 43 characters has four bits; the two that are left are 0. */
const IS_32_BYTES = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/

const BYTES = BITS / 8
const WORDS = BITS / 64

function countBits(bytes: Buffer, ones: Uint32Array): void {
  for (let bit = 0; bit < BITS; bit++) ones[bit] = (ones[bit] ?? 0) + (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1)
}

attack('A12 of one million tickets none is there twice, and each has 256 bits of chance', {}, async (t) => {
  const all = Buffer.alloc(MILLION * BYTES)
  const ones = new Uint32Array(BITS)
  let malformed = 0
  for (let made = 0; made < MILLION; made += ROUND) {
    for (let i = 0; i < ROUND; i++) {
      const ticket = createTicket()
      if (!IS_32_BYTES.test(ticket)) malformed++
      const begin = (made + i) * BYTES
      all.write(ticket, begin, BYTES, 'base64url')
      if (i < COUNTED) countBits(all.subarray(begin, begin + BYTES), ones)
    }
    // the honest client's turn
    await nextTurn()
  }
  // of two that are the same, all is the same, and so what they begin with
  const words = new BigUint64Array(all.buffer, all.byteOffset, MILLION * WORDS)
  const beginnings = words.filter((_, index) => index % WORDS === 0).sort()
  await nextTurn()
  t.equal(beginnings.length, MILLION)
  t.notOk(
    beginnings.some((beginning, index) => beginning === beginnings[index - 1]),
    'no duplicate'
  )
  t.equal(malformed, 0, '43 base64url characters of 32 bytes each')
  t.same(
    [...ones].filter((count) => Math.abs(count - THROWS / 2) > DEVIATION),
    [],
    'every bit is as often set as not'
  )
})

attack('A12 a ticket that is issued is 32 bytes of the CSPRNG, and of nothing else', {}, async (t, { app }) => {
  const { randomBytes } = crypto
  const given: string[] = []
  const watched = (size: number) => {
    const bytes = randomBytes(size)
    // each second there are 8 bytes for pings
    if (size !== 8) given.push(bytes.toString('base64url'))
    return bytes
  }
  Reflect.set(crypto, 'randomBytes', watched)
  syncBuiltinESMExports()
  t.teardown(() => {
    Reflect.set(crypto, 'randomBytes', randomBytes)
    syncBuiltinESMExports()
  })
  const tickets: string[] = []
  for (let i = 0; i < 5; i++) tickets.push(await ticketFor(t, app, '/echo'))
  t.same(given, tickets, 'once for each ticket')
  for (const ticket of tickets) t.equal(Buffer.from(ticket, 'base64url').length, 32)
})
