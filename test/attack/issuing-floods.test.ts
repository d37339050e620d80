import type { Test } from 'tap'
import { attack, type Scene } from '../fixtures/attack.js'
import { addressOf, type HttpAnswer, isGood, postTicket, type TicketPost } from '../fixtures/attacker.js'

const FLOOD = 150
const many = { max: 10_000, timeWindow: 60_000 }

/** Many requests at once; answers how many there were of each status and code. */
async function flood(t: Test, { app }: Scene, postOf: (index: number) => TicketPost): Promise<HttpAnswer[]> {
  return await Promise.all(Array.from({ length: FLOOD }, (_, index) => postTicket(t, app, '/echo', postOf(index))))
}

function count(answers: HttpAnswer[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { status, body } of answers) {
    const name = `${status} ${body.code ?? 'issued'}`.replace('FST_WS_TICKET_', '')
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

function tellsToWait(t: Test, answers: HttpAnswer[]): void {
  const waits = answers.filter(({ status }) => status === 429).map(({ headers }) => headers['retry-after'] ?? '')
  t.ok(
    waits.every((wait) => /^[1-9]\d*$/.test(wait) && Number(wait) <= 60),
    `Retry-After in seconds: ${[...new Set(waits)]}`
  )
}

const perUser = { plugin: { issuePerUser: { max: 8, timeWindow: 60_000 }, issuePerIp: many, maxTicketsPerUser: 1000 } }

attack('A9 a flood by one user, from many addresses, is answered 429 with Retry-After', perUser, async (t, scene) => {
  const { tickets } = scene.app.wsTicket.stats()
  const answers = await flood(t, scene, (index) => ({ from: addressOf(index) }))
  t.same(count(answers), { '201 issued': 8, '429 TOO_MANY_REQUESTS': FLOOD - 8 })
  tellsToWait(t, answers)
  t.equal(scene.app.wsTicket.stats().tickets, tickets + 8)
  t.equal((await postTicket(t, scene.app, '/echo', { claims: { sub: 'bob' } })).status, 201, 'another user is not in its way')
})

const perIp = { plugin: { issuePerIp: { max: 9, timeWindow: 60_000 }, issuePerUser: many, maxTicketsPerUser: 1000 } }

attack('A9 a flood by one address, as many users and as nobody, is answered 429 with Retry-After', perIp, async (t, scene) => {
  const { tickets } = scene.app.wsTicket.stats()
  // in turn, so that a third of those who are counted is refused for its token
  const answers: HttpAnswer[] = []
  for (const index of Array(9).keys()) {
    const post = index % 3 === 0 ? { token: 'garbage' } : { claims: { sub: `user ${index}` } }
    answers.push(await postTicket(t, scene.app, '/echo', { ...post, from: addressOf(0) }))
  }
  answers.push(...(await flood(t, scene, (index) => ({ claims: { sub: `user ${index}` }, from: addressOf(0) }))))
  t.same(count(answers), { '401 UNAUTHENTICATED': 3, '201 issued': 6, '429 TOO_MANY_REQUESTS': FLOOD })
  tellsToWait(t, answers)
  t.equal(scene.app.wsTicket.stats().tickets, tickets + 6)
  const forged = {
    from: addressOf(0),
    headers: { 'X-Forwarded-For': '203.0.113.9', Forwarded: 'for=203.0.113.9', 'X-Real-IP': '203.0.113.9' }
  }
  t.equal((await postTicket(t, scene.app, '/echo', forged)).status, 429, 'whatever address it claims to have')
  t.equal((await postTicket(t, scene.app, '/echo', { from: addressOf(1) })).status, 201, 'another address is not in its way')
})

const outstanding = { plugin: { issuePerUser: many, issuePerIp: many } }

attack('A9 the tickets outstanding of a user stay within the cap', outstanding, async (t, scene) => {
  const { app, port } = scene
  const { tickets: before } = app.wsTicket.stats()
  const answers = await flood(t, scene, (index) => ({ from: addressOf(index) }))
  t.same(count(answers), { '201 issued': 10, '429 TOO_MANY_TICKETS': FLOOD - 10 })
  tellsToWait(t, answers)
  t.equal(app.wsTicket.stats().tickets, before + 10)
  const issued = answers.flatMap(({ body }) => body.ticket ?? [])
  t.ok(await isGood(t, port, '/echo', issued[0] ?? ''), 'each that was issued is good')
  t.same(count(await flood(t, scene, () => ({}))), { '201 issued': 1, '429 TOO_MANY_TICKETS': FLOOD - 1 }, 'one used makes room for one')
  for (const ticket of issued.slice(1)) t.ok(await isGood(t, port, '/echo', ticket), 'and drops none')
})
