import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import fc from 'fast-check'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { runs } from '../fixtures/fc-runs.js'
import { type Attempt, anyAttempt, attemptBytes, TICKET } from '../fixtures/handshake-arbitraries.js'
import { isOnTheEdge, statusDue } from '../fixtures/handshake-judge.js'
import { RawSocket } from '../fixtures/raw-socket.js'
import { plentyOfRequests } from '../fixtures/small-route.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes, untilStats } from '../fixtures/upgrade.js'

const PATIENCE_MS = 30_000
const SWITCHING = 101
const NO_CHUNKS = '0\r\n\r\n'

interface HttpAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** Sends the bytes on a socket of its own, and answers all that came until the server closed, or an answer is whole. */
async function ask(port: number, bytes: Buffer): Promise<{ text: string; isClosed: boolean }> {
  const raw = new RawSocket(connectTcp(port, '127.0.0.1'))
  const signal = AbortSignal.timeout(PATIENCE_MS)
  try {
    await once(raw.socket, 'connect')
    raw.write(bytes)
    while (!isDone(raw)) await Promise.race([once(raw.socket, 'data', { signal }), raw.ended])
    return { text: raw.received, isClosed: raw.socket.closed }
  } finally {
    raw.socket.destroy()
  }
}

/** Nothing more is to come: it is closed, open as a WebSocket, or kept for the next request. */
function isDone({ socket, received }: RawSocket): boolean {
  if (socket.closed || received.includes('$welcome')) return true
  const answer = parse(received)
  return answer?.status !== SWITCHING && answer?.headers.get('connection') === 'keep-alive'
}

/** Undefined where it is not all there. */
function parse(text: string): HttpAnswer | undefined {
  // what asks for it is told to go on, once
  const [head = '', ...others] = text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '').split('\r\n\r\n')
  const [line = '', ...lines] = head.split('\r\n')
  const [, status] = /^HTTP\/1\.1 (\d{3}) [A-Za-z ]+$/.exec(line) ?? []
  if (status === undefined || others.length === 0) return undefined
  const headers = new Map(
    lines.map((header) => [header.slice(0, header.indexOf(':')).toLowerCase(), header.slice(header.indexOf(':') + 2)])
  )
  const body = others.join('\r\n\r\n')
  const isWhole = headers.has('content-length') ? body.length >= Number(headers.get('content-length')) : body.startsWith(NO_CHUNKS)
  return Number(status) === SWITCHING || isWhole ? { status: Number(status), headers, body } : undefined
}

function assertOpened(answer: HttpAnswer, { headers }: Attempt): void {
  const key = headers.find(([name]) => name.toLowerCase() === 'sec-websocket-key')?.[1].trim()
  assert.deepEqual([...answer.headers].sort(), [
    ['connection', 'Upgrade'],
    ['sec-websocket-accept', createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')],
    ['sec-websocket-protocol', 'fastify-ws-ticket.v1'],
    ['upgrade', 'websocket']
  ])
}

/** A refused upgrade is one answer in JSON. What Node makes of a plain request is its own. */
function assertRefused({ status, headers, body }: HttpAnswer, attempt: Attempt): void {
  assert.ok((status >= 400 && status <= 499) || status === 503, `the status is ${status}`)
  if (!isUpgrade(attempt)) return
  assert.equal(body.length, Number(headers.get('content-length')), 'there is one answer and nothing behind it')
  const { statusCode, message } = JSON.parse(body)
  assert.equal(statusCode, status)
  assert.equal(typeof message, 'string')
}

function isUpgrade({ headers }: Attempt): boolean {
  const has = (name: string, part: RegExp) => headers.some(([other, value]) => other.toLowerCase() === name && part.test(value))
  return has('upgrade', /\bwebsocket\b/i) && has('connection', /(^|,)[ \t]*upgrade[ \t]*(,|$)/i)
}

/** Is the ticket still good? Uses it. */
async function isGood({ port }: Scene, ticket: string): Promise<boolean> {
  const { text } = await ask(port, Buffer.from(handshakeBytes('/echo', ticket)))
  return parse(text)?.status === SWITCHING
}

attack(
  'C5 C8 C9 D E3 E11 E12 H4 J2 whatever an upgrade says: 101 where all is right, else one refusal that leaves the ticket good',
  {
    plugin: plentyOfRequests,
    declare(app) {
      app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
      app.wsRoute('/rooms/:room', { contract: echoContract, handlers: echoHandlers })
    }
  },
  async (t, scene) => {
    const seen = new Map<number, number>()
    let users = 0
    await fc.assert(
      fc.asyncProperty(anyAttempt, async (attempt) => {
        fc.pre(!isOnTheEdge(attempt))
        const ticket = await issueTicket(scene.app, '/echo', { claims: { sub: `user ${users++}` } })
        const { text, isClosed } = await ask(scene.port, attemptBytes(attempt, ticket))
        const answer = parse(text)
        assert.ok(answer, `it is answered: ${JSON.stringify(text.slice(0, 200))}`)
        // Fastify's own answer to a plain request for an address that there is not says the address
        const isForeign = attempt.target.includes(TICKET) && !isUpgrade(attempt)
        assert.ok(isForeign || !text.includes(ticket), 'the ticket is not in the answer')
        const due = statusDue(attempt)
        if (due !== undefined) assert.equal(answer.status, due, text.slice(0, 200))
        else assert.notEqual(answer.status, SWITCHING, text.slice(0, 200))
        if (answer.status === SWITCHING) assertOpened(answer, attempt)
        else {
          assertRefused(answer, attempt)
          if (isUpgrade(attempt)) assert.ok(isClosed, 'a refused upgrade is closed')
          assert.ok(await isGood(scene, ticket), `${answer.status} leaves the ticket good`)
        }
        seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1)
      }),
      runs(300)
    )
    await untilStats(scene.app, { connections: 1, users: 1, ips: 1 })
    t.comment(JSON.stringify(Object.fromEntries(seen)))
  }
)
