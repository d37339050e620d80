import type { Test } from 'tap'
import type { FindOutcome } from '../../src/ticket/store.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { isGood, knock, ticketFor } from '../fixtures/attacker.js'
import { connect } from '../fixtures/client.js'
import { captureLog } from '../fixtures/log.js'
import { WatchedStore } from '../fixtures/watched-store.js'

const many = { max: 10_000, timeWindow: 60_000 }
const plenty = { issuePerIp: many, issuePerUser: many, upgradePerIp: many, maxTicketsPerUser: 1000, maxConnectionsPerUser: 1000 }
const REFUSALS = ['401 FST_WS_TICKET_INVALID_TICKET', '503 FST_WS_TICKET_UNAVAILABLE']

/** What a broken store may answer in place of what it was to answer, as JSON; no text stands for nothing at all. */
type Corruption = (found: Record<string, unknown>) => unknown

const inRecord =
  (changes: object): Corruption =>
  (found) => ({ ...found, record: { ...Object(found.record), ...changes } })
const without =
  (name: string): Corruption =>
  (found) =>
    inRecord({ [name]: undefined })(found)

const CORRUPTIONS: Record<string, Corruption> = {
  nothing: () => undefined,
  null: () => null,
  'a number': () => 7,
  'a text': () => 'live',
  'an empty list': () => [],
  'an empty object': () => ({}),
  'an unknown outcome': (found) => ({ ...found, outcome: 'LIVE' }),
  'an outcome that is an object': (found) => ({ ...found, outcome: { live: true } }),
  'no record': () => ({ outcome: 'live' }),
  'the record null': () => ({ outcome: 'live', record: null }),
  'the record a text': () => ({ outcome: 'live', record: '{"userId":"ann"}' }),
  'the record a list': (found) => ({ outcome: 'live', record: [found.record] }),
  'the record empty': () => ({ outcome: 'live', record: {} }),
  'used without a record': () => ({ outcome: 'used', usedBy: 'somebody' }),
  'used, the record null': () => ({ outcome: 'used', record: null, usedBy: 'somebody' }),
  'used, by nobody': (found) => ({ outcome: 'used', record: found.record }),
  'used, by an object': (found) => ({ outcome: 'used', record: found.record, usedBy: { id: 7 } }),
  ...Object.fromEntries(
    ['user', 'userId', 'route', 'path', 'origin', 'ip', 'refreshes', 'authenticatedUntil'].map((name) => [`no ${name}`, without(name)])
  ),
  'the user null': inRecord({ user: null }),
  'the user a text': inRecord({ user: 'ann' }),
  'the user a list': inRecord({ user: [{ sub: 'ann' }] }),
  'the id of the user a number': inRecord({ userId: 7 }),
  'the id of the user empty': inRecord({ userId: '' }),
  'the id of the user an object': inRecord({ userId: { id: 'ann' } }),
  'the route a list': inRecord({ route: ['/echo'] }),
  'the path an object': inRecord({ path: {} }),
  'the Origin a list': inRecord({ origin: ['https://app.example.com'] }),
  'the address a number': inRecord({ ip: 7 }),
  'an end that is a text': inRecord({ authenticatedUntil: 'tomorrow' }),
  'an end that is a date': inRecord({ authenticatedUntil: '2099-01-01T00:00:00.000Z' }),
  'an end that is an object': inRecord({ authenticatedUntil: {} }),
  'the record of another path': inRecord({ path: '[["room","other"]]' }),
  'the record of another Origin': inRecord({ origin: 'https://other.example' })
}

function corrupted(corruption: Corruption, found: FindOutcome): FindOutcome {
  const text = JSON.stringify({ value: corruption({ ...found }) })
  return JSON.parse(text).value
}

/** Each corruption of a step is refused, and whoever comes after it is let in. */
async function refusesCorrupted(t: Test, { app, port }: Scene, store: WatchedStore, step: 'find' | 'redeem'): Promise<void> {
  for (const [name, corruption] of Object.entries(CORRUPTIONS)) {
    await t.test(name, async (t) => {
      const ticket = await ticketFor(t, app, '/echo')
      const { redeem } = store.asked
      store.change(step, (found) => corrupted(corruption, found))
      const { status, code, text } = await knock(t, port, '/echo', ticket)
      store.recover()
      t.ok(REFUSALS.includes(`${status} ${code}`), `refused: ${text.slice(0, 300)}`)
      t.notMatch(text, /TypeError|undefined|Cannot read|node_modules/, 'without internals')
      if (step === 'redeem') return
      t.equal(store.asked.redeem, redeem, 'it is not used')
      t.ok(await isGood(t, port, '/echo', ticket), 'and stays good')
    })
  }
  t.ok(await isGood(t, port, '/echo', await ticketFor(t, app, '/echo')), 'others are let in')
}

const { logger } = captureLog()
const found = new WatchedStore()

attack(
  'B5 a corrupted value that is found is answered 503 or 401',
  { server: { logger }, plugin: { ...plenty, store: found } },
  (t, scene) => refusesCorrupted(t, scene, found, 'find')
)

const redeemed = new WatchedStore()

attack('B5 a corrupted value that is redeemed is answered 503 or 401', { plugin: { ...plenty, store: redeemed } }, (t, scene) =>
  refusesCorrupted(t, scene, redeemed, 'redeem')
)

const refreshed = new WatchedStore()
const patient = { ...plenty, store: refreshed, badMessages: many, refreshLimit: many, rateLimit: many, limitViolations: many }

attack('B5 a corrupted value that is to refresh a session is answered 503 or 401', { plugin: patient }, async (t, { app }) => {
  const client = await connect(t, app, '/echo')
  const { connection, expiresAt } = Object((await client.next()).payload)
  for (const step of ['find', 'redeem'] as const) {
    for (const [name, corruption] of Object.entries(CORRUPTIONS)) {
      const ticket = await ticketFor(t, app, '/echo', { body: JSON.stringify({ refresh: connection }) })
      refreshed.change(step, (value) => corrupted(corruption, value))
      const answer = await client.request('$refresh', { ticket })
      refreshed.recover()
      const { statusCode, code } = Object(answer.payload)
      t.ok(REFUSALS.includes(`${statusCode} ${code}`), `${step}, ${name}: ${JSON.stringify(answer)}`)
    }
  }
  t.match(await client.request('echo', { text: 'still here' }), { type: '$reply' })
  t.ok(Number.isInteger(expiresAt))
})
