import type { FastifyInstance } from 'fastify'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { isGood } from '../fixtures/attacker.js'
import { exchange } from '../fixtures/raw-socket.js'
import { isRefusal, type Refusal } from '../fixtures/refusals.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes } from '../fixtures/upgrade.js'

const LONGEST_PARAMETER = 100
const opened: string[] = []

const options = {
  server: { routerOptions: { maxParamLength: LONGEST_PARAMETER } },
  declare(app: FastifyInstance) {
    for (const path of ['/echo', '/rooms/:room']) {
      app.wsRoute(path, { contract: echoContract, handlers: echoHandlers, onOpen: () => void opened.push(path) })
    }
  }
}

const malformed = { status: 400, code: 'FST_WS_TICKET_BAD_HANDSHAKE' }
const tooLong = { status: 414, code: 'FST_ERR_MAX_PARAM_LENGTH' }
const notFound = { status: 404 }

/** What every path is answered with, by title. */
const probes: Record<string, [wanted: Refusal, paths: string[]]> = {
  'E3 a malformed URL is answered and closed': [malformed, ['/%zz', '/echo%', '/rooms/%E0%A4', '/%zz?ticket=x']],
  'E3 an over-long parameter is answered and closed': [tooLong, ['a', '%61'].map((a) => `/rooms/${a.repeat(LONGEST_PARAMETER + 1)}`)],
  'E3 an unknown path is answered and closed': [
    notFound,
    ['/unknown', '/echo/', '//echo', '/echo/../echo', '/%2e%2e/echo', '/ECHO', '/echo/ticket', '*', 'http://other.example/unknown']
  ]
}

for (const [title, [wanted, paths]] of Object.entries(probes)) {
  attack(title, options, async (t, { app, port }) => {
    const ticket = await issueTicket(app, '/echo')
    for (const path of paths) isRefusal(t, await exchange(t, port, handshakeBytes(path, ticket)), wanted, path.slice(0, 40))
    t.same(opened, [])
    t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
    opened.length = 0
  })
}

attack('E3 a URL that is as long as Node reads is answered and closed', options, async (t, { app, port }) => {
  const ticket = await issueTicket(app, '/echo')
  for (const [length, status] of [
    [15_000, 414],
    [17_000, 431]
  ] as const) {
    t.match(await exchange(t, port, handshakeBytes(`/rooms/${'a'.repeat(length)}`, ticket)), new RegExp(`^HTTP/1\\.1 ${status} `))
  }
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
})
