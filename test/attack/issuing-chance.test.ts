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

function countBits(bytes: Buffer, ones: Uint32Array): void {
  for (let bit = 0; bit < BITS; bit++) ones[bit] = (ones[bit] ?? 0) + (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1)
}

attack('A12 of one million tickets none is there twice, and each has 256 bits of chance', {}, async (t) => {
  const seen = new Set<string>()
  const ones = new Uint32Array(BITS)
  let malformed = 0
  for (let made = 0; made < MILLION; made += ROUND) {
    for (let i = 0; i < ROUND; i++) {
      const ticket = createTicket()
      seen.add(ticket)
      if (!IS_32_BYTES.test(ticket)) malformed++
      if (i < COUNTED) countBits(Buffer.from(ticket, 'base64url'), ones)
    }
    // the honest client's turn
    await nextTurn()
  }
  t.equal(seen.size, MILLION, 'no duplicate')
  t.equal(malformed, 0, '43 base64url characters of 32 bytes each')
  t.same(
    [...ones].filter((count) => Math.abs(count - THROWS / 2) > DEVIATION),
    [],
    'every bit is as often set as not'
  )
})

attack('A12 a ticket that is issued is 32 bytes of the CSPRNG, and of nothing else', {}, async (t, { app }) => {
  const { randomBytes } = crypto
  const asked: number[] = []
  const given: string[] = []
  const watched = (size: number) => {
    const bytes = randomBytes(size)
    asked.push(size)
    given.push(bytes.toString('base64url'))
    return bytes
  }
  Reflect.set(crypto, 'randomBytes', watched)
  syncBuiltinESMExports()
  t.teardown(() => {
    Reflect.set(crypto, 'randomBytes', randomBytes)
    syncBuiltinESMExports()
  })
  for (let i = 0; i < 5; i++) {
    const ticket = await ticketFor(t, app, '/echo')
    t.equal(given.at(-1), ticket)
  }
  t.same(asked, [32, 32, 32, 32, 32], 'once for each ticket')
})
