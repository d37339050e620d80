import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { attack, type Scene } from '../fixtures/attack.js'
import { addressOf, answerOf, connectFrom, isGood, type Knock, knock, ticketFor } from '../fixtures/attacker.js'
import { connect } from '../fixtures/client.js'
import { handshakeBytes } from '../fixtures/upgrade.js'
import { WatchedStore } from '../fixtures/watched-store.js'

const many = { max: 10_000, timeWindow: 60_000 }
const guess = () => randomBytes(32).toString('base64url')

/** So many guesses at once, each from the address that is said. */
async function guessAtOnce(t: Test, { port }: Scene, count: number, from: (index: number) => string): Promise<Knock[]> {
  return await Promise.all(Array.from({ length: count }, (_, i) => knock(t, port, '/echo', guess(), { from: from(i) })))
}

function count(answers: Knock[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

const single = new WatchedStore()

attack(
  'C11 the guesses of one address are limited, and so is what the store is asked',
  { plugin: { store: single, upgradePerIp: { max: 20, timeWindow: 60_000 } } },
  async (t, scene) => {
    const { app, port } = scene
    const ticket = await ticketFor(t, app, '/echo')
    const { find, redeem } = single.asked
    const answers = await guessAtOnce(t, scene, 200, () => addressOf(0))
    t.same(count(answers), { 401: 20, 429: 180 })
    for (const { status, text } of answers) {
      if (status === 429) t.match(text, /\r\nretry-after: [1-9]\d*\r\n/i)
    }
    t.same({ find: single.asked.find - find, redeem: single.asked.redeem - redeem }, { find: 20, redeem: 0 }, 'asked once for each 401')
    t.match(await knock(t, port, '/echo', ticket, { from: addressOf(0) }), { status: 429 }, 'not even the right one gets in from there')
    t.ok(await isGood(t, port, '/echo', ticket, { from: addressOf(1) }), 'which is good elsewhere')
  }
)

const spread = new WatchedStore()
const CAP = 30

attack(
  'C11 guesses from many addresses ask the store no more at a time than there may be handshakes',
  { plugin: { store: spread, maxPendingHandshakes: CAP } },
  async (t, scene) => {
    const { app, port } = scene
    const ticket = await ticketFor(t, app, '/echo')
    spread.hold('find')
    const sockets = await Promise.all(Array.from({ length: 200 }, (_, i) => connectFrom(t, port, addressOf(i))))
    const answers = sockets.map(answerOf)
    for (const raw of sockets) raw.write(handshakeBytes('/echo', guess()))
    let refused = 0
    for (const answer of answers) void answer.then(() => refused++)
    while (spread.held + refused < sockets.length) await scene.honest.beat()
    t.equal(spread.held, CAP, 'as many as may be under way, and no more')
    spread.recover()
    t.same(count(await Promise.all(answers)), { 401: CAP, 503: 200 - CAP })
    t.ok(await isGood(t, port, '/echo', ticket), 'and then there is room')
  }
)

const malformed = new WatchedStore()

attack(
  'C11 what is no ticket by its form does not reach the store, and counts as a guess',
  { plugin: { store: malformed, upgradePerIp: { max: 20, timeWindow: 60_000 } } },
  async (t, scene) => {
    const { find } = malformed.asked
    const answers: Knock[] = []
    for (let i = 0; i < 40; i++) answers.push(await knock(t, scene.port, '/echo', `guess ${i}`, { from: addressOf(0) }))
    t.same(count(answers), { 401: 20, 429: 20 })
    t.equal(malformed.asked.find, find)
  }
)

const refreshing = new WatchedStore()

attack(
  'C11 guesses by $refresh are limited, and end the connection',
  { plugin: { store: refreshing, issuePerUser: many } },
  async (t, { app }) => {
    const client = await connect(t, app, '/echo')
    t.match(await client.next(), { type: '$welcome' })
    const { find, redeem } = refreshing.asked
    for (let i = 0; i < 2000; i++) client.send({ type: '$refresh', id: i, payload: { ticket: guess() } })
    const { code } = await client.closed
    t.ok([4400, 4429].includes(code), `closed with ${code}`)
    t.ok(refreshing.asked.find - find <= 60, `the store was asked ${refreshing.asked.find - find} times`)
    t.equal(refreshing.asked.redeem, redeem)
  }
)
