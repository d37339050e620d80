import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { type AttackOptions, attack } from '../fixtures/attack.js'
import { manyMessages, manyRequests } from '../fixtures/counted-echo.js'
import { beginRaw, openRaw } from '../fixtures/frames.js'
import { postTicket } from '../fixtures/post-ticket.js'
import { statusOf } from '../fixtures/raw-socket.js'

const PROXY = '127.0.0.50'
const MAX = 3
const few = { max: MAX, timeWindow: '1 minute' }

/** Behind a proxy, with three of everything for each address. */
const behindProxy = (own: AttackOptions['plugin']): AttackOptions => ({
  server: { trustProxy: PROXY },
  plugin: { ...manyRequests, allowInsecure: true, ...own },
  declare: (app: FastifyInstance) => {
    const rateLimit = { max: MAX, timeWindow: '1 hour', per: 'ip' } as const
    app.wsRoute('/echo', {
      ...manyMessages,
      contract: echoContract,
      handlers: { ...echoHandlers, echo: { handler: echoHandlers.echo, rateLimit } }
    })
  }
})

interface Caller {
  readonly localAddress: string
  readonly forwarded: string
}

function headersOf({ forwarded }: Caller): Record<string, string> {
  return { 'x-forwarded-for': forwarded }
}

let users = 0

/** The status of a ticket request; each is another user's. */
async function issueStatus(app: FastifyInstance, caller: Caller): Promise<number> {
  return (await postTicket(app, { sub: `user ${++users}`, localAddress: caller.localAddress, headers: headersOf(caller) })).status
}

/** The status of an upgrade with a good ticket, by a user of its own. */
async function upgradeStatus(t: Test, app: FastifyInstance, caller: Caller): Promise<number> {
  const { ticket } = await postTicket(app, { sub: `user ${++users}`, localAddress: '127.0.0.200' })
  const raw = await beginRaw(t, app, { ticket, localAddress: caller.localAddress, headers: { 'X-Forwarded-For': caller.forwarded } })
  return statusOf(await raw.answer)
}

/** The type of what a message is answered with. */
async function answerTo(t: Test, app: FastifyInstance, caller: Caller): Promise<string> {
  const { ticket } = await postTicket(app, { sub: `user ${++users}`, localAddress: '127.0.0.200' })
  const raw = await openRaw(t, app, { ticket, localAddress: caller.localAddress, headers: { 'X-Forwarded-For': caller.forwarded } })
  return (await raw.request('echo', { text: 'x' })).type
}

async function inTurn<T>(callers: readonly Caller[], ask: (caller: Caller) => Promise<T>): Promise<T[]> {
  const answers: T[] = []
  for (const caller of callers) answers.push(await ask(caller))
  return answers
}

/** Who is counted as one by a limit of three, and who is counted apart from them. */
interface Trick {
  readonly id: string
  readonly same: readonly Caller[]
  readonly other: Caller
}

const via = (forwarded: string): Caller => ({ localAddress: PROXY, forwarded })
const past = (forwarded: string): Caller => ({ localAddress: '127.0.0.9', forwarded })

const tricks: Trick[] = [
  {
    id: 'H3 addresses of one IPv6 /64',
    same: ['2001:db8:1:2::1', '2001:db8:1:2::2', '2001:0DB8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2:a:b:c:d', '2001:db8:1:2::'].map(
      via
    ),
    other: via('2001:db8:1:3::1')
  },
  {
    id: 'H3 one address as IPv4 and as mapped IPv6',
    same: ['203.0.113.9', '::ffff:203.0.113.9', '::FFFF:203.0.113.9', '203.0.113.9', '::ffff:203.0.113.9'].map(via),
    other: via('203.0.113.10')
  },
  {
    id: 'H4 X-Forwarded-For from a peer that is not the proxy',
    same: ['203.0.113.1', '203.0.113.2', '127.0.0.1', '2001:db8::1', `203.0.113.3, ${PROXY}`].map(past),
    other: { localAddress: '127.0.0.10', forwarded: '203.0.113.1' }
  },
  {
    id: 'H4 X-Forwarded-For that was there before the proxy added to it',
    same: ['203.0.113.1', '203.0.113.2', '127.0.0.1', `203.0.113.3, ${PROXY}`, 'nonsense'].map((forged) => via(`${forged}, 198.51.100.7`)),
    other: via('203.0.113.1, 198.51.100.8')
  }
]

for (const { id, same, other } of tricks) {
  attack(`${id}: one bucket for tickets`, behindProxy({ issuePerIp: few }), async (t, { app }) => {
    t.same(await inTurn(same, (caller) => issueStatus(app, caller)), [201, 201, 201, 429, 429])
    t.equal(await issueStatus(app, other), 201, 'another address has its own')
  })

  attack(`${id}: one bucket for upgrades`, behindProxy({ upgradePerIp: few }), async (t, { app }) => {
    t.same(await inTurn(same, (caller) => upgradeStatus(t, app, caller)), [101, 101, 101, 429, 429])
    t.equal(await upgradeStatus(t, app, other), 101, 'another address has its own')
  })

  attack(`${id}: one count of open connections`, behindProxy({ maxConnectionsPerIp: MAX }), async (t, { app }) => {
    t.same(await inTurn(same, (caller) => upgradeStatus(t, app, caller)), [101, 101, 101, 429, 429])
    t.equal(await upgradeStatus(t, app, other), 101, 'another address has its own')
  })

  attack(`${id}: one bucket for messages`, behindProxy({}), async (t, { app }) => {
    const [reply, error] = ['$reply', '$error']
    t.same(await inTurn(same, (caller) => answerTo(t, app, caller)), [reply, reply, reply, error, error])
    t.equal(await answerTo(t, app, other), reply, 'another address has its own')
  })
}
