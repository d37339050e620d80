import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.js'
import { MemoryTicketStore } from '../../src/ticket/memory-store.js'
import { attack } from '../fixtures/attack.js'
import { addressOf, isGood, knock, postTicket, ticketFor } from '../fixtures/attacker.js'
import { connect } from '../fixtures/client.js'
import { textsIn } from '../fixtures/dump.js'
import { formsOf } from '../fixtures/ticket-forms.js'
import { WatchedStore } from '../fixtures/watched-store.js'

const many = { max: 10_000, timeWindow: 60_000 }
const plenty = { issuePerIp: many, issuePerUser: many, upgradePerIp: many, maxTicketsPerUser: 1000 }
const invalid = { status: 401, code: 'FST_WS_TICKET_INVALID_TICKET' }
const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')

const memory = new MemoryTicketStore({ clock: systemClock, maxTickets: 1000, maxTicketsPerUser: 1000 })

attack('B1 a dump of the store holds only SHA-256 hashes', { plugin: { ...plenty, store: memory } }, async (t, { app, port }) => {
  const unused = await ticketFor(t, app, '/echo')
  const used = await ticketFor(t, app, '/echo')
  const elsewhere = await ticketFor(t, app, '/echo')
  const refresh = await ticketFor(t, app, '/echo', { body: '{"refresh":"some connection"}' })
  const guess = 'g'.repeat(43)
  await knock(t, port, '/echo', used)
  await knock(t, port, '/echo', used)
  await knock(t, port, '/echo', elsewhere, { changes: { Origin: 'https://evil.example' } })
  await knock(t, port, `/echo?ticket=${elsewhere}`)
  await knock(t, port, '/echo', guess)
  const dump = textsIn(memory)
  for (const ticket of [unused, used, elsewhere, refresh]) {
    t.ok(dump.includes(sha256(ticket)), 'its hash is there')
    t.notOk(
      dump.some((text) => formsOf(ticket).some((form) => text.includes(form))),
      'and nothing else of it'
    )
  }
  t.notOk(dump.includes(sha256(guess)), 'a guess leaves nothing')
  t.ok(dump.includes('ann') && dump.includes('some connection'), 'the dump shows what is kept')
})

const watched = new WatchedStore()

attack('B1 no store is ever given a ticket', { plugin: { ...plenty, store: watched } }, async (t, { app, port }) => {
  const ticket = await ticketFor(t, app, '/echo')
  t.ok(await isGood(t, port, '/echo', ticket))
  t.match(await knock(t, port, '/echo', ticket), invalid)
  const client = await connect(t, app, '/echo')
  const welcome = await client.next()
  const refresh = await ticketFor(t, app, '/echo', { body: JSON.stringify({ refresh: Object(welcome.payload).connection }) })
  t.match(await client.request('$refresh', { ticket: refresh }), { type: '$reply' })
  const given = JSON.stringify(watched.given)
  for (const secret of [ticket, refresh]) {
    t.ok(given.includes(sha256(secret)))
    t.notOk(formsOf(secret).some((form) => given.includes(form)))
  }
})

const HOSTILE: Record<string, string> = {
  __proto__x: '__proto__',
  constructor: 'constructor',
  toString: 'toString',
  hasOwnProperty: 'hasOwnProperty',
  'a colon': 'a:b',
  colons: ':'.repeat(43),
  'a star': '*',
  stars: '*'.repeat(43),
  'a pattern': '[a-z]?*',
  'a brace': `{${'a'.repeat(41)}}`,
  '42 characters': 'a'.repeat(42),
  '44 characters': 'a'.repeat(44),
  '43 of base64': `${'a'.repeat(41)}+/`,
  padding: `${'a'.repeat(42)}=`,
  'a line behind': `${'a'.repeat(43)}%`,
  'another alphabet': '\u00e9'.repeat(43),
  '64 KB': 'a'.repeat(65_536),
  '64 KB of stars': '*'.repeat(65_536)
}
/** What bytes of a header can not say, or not without ending it. */
const UNSPEAKABLE: Record<string, string> = {
  CRLF: 'a\r\nb',
  'CRLF behind': `${'a'.repeat(43)}\r\n`,
  'a line feed behind': `${'a'.repeat(43)}\n`,
  NUL: 'a\0b',
  'NUL behind': `${'a'.repeat(43)}\0`,
  'NUL, 43 times': '\0'.repeat(43),
  empty: ''
}
/** Node itself answers 431 beyond 16 KB unless told otherwise. */
const wideHeaders = { logger: false, http: { maxHeaderSize: 512 * 1024 } }

/** Runs what the store must not learn of. */
async function withoutStore(t: Test, store: WatchedStore, run: () => Promise<void>): Promise<void> {
  const before = store.given.length
  await run()
  t.equal(store.given.length, before, 'the store was not asked')
}

const strict = new WatchedStore()
const bothWays = { ...plenty, store: strict, ticketTransport: ['subprotocol' as const, 'query' as const] }

attack(
  'B2 hostile tickets are refused by their format, and the store is not asked',
  { server: wideHeaders, plugin: bothWays },
  async (t, scene) => {
    const { port } = scene
    await withoutStore(t, strict, async () => {
      for (const [name, text] of Object.entries(HOSTILE)) t.match(await knock(t, port, '/echo', text), invalid, `${name}, as a subprotocol`)
      for (const [name, text] of Object.entries({ ...HOSTILE, ...UNSPEAKABLE })) {
        t.match(await knock(t, port, `/echo?ticket=${encodeURIComponent(text)}`), invalid, `${name}, in the query`)
      }
      t.match(await knock(t, port, '/echo', 'a\r\nX-Injected: yes'), invalid, 'CRLF, as a subprotocol')
      for (const text of ['a\0b', 'a\rb', 'a\nb'])
        t.match(await knock(t, port, '/echo', text), { status: 400 }, 'Node takes no such header')
    })
  }
)

attack('B2 a ticket larger than Node takes headers is refused as well', { plugin: bothWays }, async (t, { port }) => {
  await withoutStore(t, strict, async () => {
    t.match(await knock(t, port, '/echo', 'a'.repeat(65_536)), { status: 431 })
    t.match(await knock(t, port, `/echo?ticket=${'a'.repeat(65_536)}`), { status: 431 })
  })
})

const patient = {
  ...plenty,
  store: strict,
  badMessages: many,
  refreshLimit: many,
  rateLimit: many,
  limitViolations: many,
  maxPayload: 1_000_000
}

attack(
  'B2 hostile tickets in $refresh are refused by their format, and the store is not asked',
  { plugin: patient },
  async (t, { app }) => {
    const error = { type: '$error', payload: { statusCode: 401, code: invalid.code } }
    const client = await connect(t, app, '/echo')
    t.match(await client.next(), { type: '$welcome' })
    await withoutStore(t, strict, async () => {
      for (const [name, text] of Object.entries({ ...HOSTILE, ...UNSPEAKABLE }))
        t.match(await client.request('$refresh', { ticket: text }), error, name)
    })
    t.match(await client.request('echo', { text: 'still here' }), { type: '$reply' })
  }
)

const MAX = 40
const FLOOD = 300
let peak = 0

attack(
  'B3 a memory store under a flood is bounded, refuses at its cap, and drops no live ticket',
  {
    timed: true,
    plugin: { ...plenty, maxTickets: MAX },
    declare(app) {
      app.addHook('onResponse', async () => {
        peak = Math.max(peak, app.wsTicket.stats().tickets)
      })
      app.wsRoute('/echo', { contract: { messages: {}, events: {} }, handlers: {} })
    }
  },
  async (t, { app, port, advance }) => {
    const room = MAX - app.wsTicket.stats().tickets
    const postOf = (sub: string, index: number) => ({ from: addressOf(index), headers: { 'x-claims': JSON.stringify({ sub }) } })
    const answers = await Promise.all(Array.from({ length: FLOOD }, (_, i) => postTicket(t, app, '/echo', postOf(`user ${i}`, i))))
    const issued = answers.flatMap(({ body }) => body.ticket ?? [])
    const refused = answers.filter(({ status }) => status !== 201)
    t.equal(issued.length, room)
    t.ok(refused.every(({ status, body }) => status === 503 && body.code === 'FST_WS_TICKET_STORE_FULL'))
    t.ok(
      refused.every(({ headers }) => /^[1-9]\d*$/.test(headers['retry-after'] ?? '')),
      'with Retry-After'
    )
    t.equal(peak, MAX, 'never more than the cap')
    await advance(29_000)
    t.equal((await postTicket(t, app, '/echo', postOf('late', FLOOD))).status, 503, 'as long as they live there is no room')
    for (const [i, ticket] of issued.entries()) {
      t.ok(await isGood(t, port, '/echo', ticket, { from: addressOf(i) }), 'each that was issued is good')
    }
    await advance(2000)
    t.equal((await postTicket(t, app, '/echo', postOf('later', FLOOD))).status, 201, 'once they expired there is')
    t.equal(app.wsTicket.stats().tickets, 1)
  }
)
