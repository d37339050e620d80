import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { exchangeHttp, type KnockOptions, knock, ticketFor } from '../fixtures/attacker.js'
import { connect, open } from '../fixtures/client.js'
import { captureLog, type LogLine } from '../fixtures/log.js'
import { requestBytes } from '../fixtures/raw-socket.js'
import { WatchedStore } from '../fixtures/watched-store.js'

const many = { max: 10_000, timeWindow: 60_000 }
const plenty = { issuePerIp: many, issuePerUser: many, upgradePerIp: many, maxTicketsPerUser: 1000, maxConnectionsPerUser: 1000 }
const transports = { subprotocol: ['subprotocol' as const], both: ['subprotocol' as const, 'query' as const] }

/** What is issued, and where it must not be found. */
class Canaries {
  readonly #tickets: string[] = []
  readonly #told: string[] = []

  async next(t: Test, app: FastifyInstance, body?: string): Promise<string> {
    const ticket = await ticketFor(t, app, '/echo', body === undefined ? {} : { body })
    this.#tickets.push(ticket)
    return ticket
  }

  /** Something that the server told somebody. */
  told(text: string): void {
    this.#told.push(text)
  }

  notFound(t: Test, { app }: Scene, lines: readonly LogLine[]): void {
    const stats = JSON.stringify(app.wsTicket.stats())
    for (const [index, ticket] of this.#tickets.entries()) {
      const found = [...lines.map((line) => JSON.stringify(line)), ...this.#told, stats].filter((text) => text.includes(ticket))
      t.same(found, [], `ticket ${index} is in no line of the log, no answer, no frame and no number`)
    }
    t.ok(
      this.#told.some((text) => /^HTTP\/1\.1 101[\s\S]*\r\nsec-websocket-protocol: fastify-ws-ticket\.v1\r\n/i.test(text)),
      'among them a 101'
    )
    t.ok(lines.length > 20 && this.#told.length > 10, `${lines.length} lines, ${this.#told.length} answers`)
  }
}

/** Everything of a request that a hook can get hold of. */
function portrait({ url, originalUrl, headers, query, raw }: FastifyRequest): string {
  return JSON.stringify([url, originalUrl, headers, query, raw.url, raw.headers, raw.rawHeaders])
}

/** Routes whose hooks tell the log and the client all that they know. */
function declareTalkative(app: FastifyInstance, isInQuery: boolean): void {
  const tell = async (request: FastifyRequest) => request.log.error({ err: new Error(portrait(request)) }, portrait(request))
  // such a hook runs before those of a route, and sees the query as it came
  if (!isInQuery) app.addHook('onRequest', tell)
  const echo = { contract: echoContract, handlers: echoHandlers }
  const blab = (request: FastifyRequest) => Promise.reject(new Error(portrait(request)))
  app.wsRoute('/echo', { ...echo, onRequest: tell, preHandler: tell, onClose: ({ log }, code, reason) => log.info({ code, reason }) })
  app.wsRoute('/failing', { ...echo, preHandler: blab, onError: tell })
  app.wsRoute('/handling', {
    ...echo,
    preHandler: blab,
    errorHandler: (error, request, reply) => void reply.code(500).send({ message: String(error), all: portrait(request) })
  })
  app.get('/rest', async (request) => portrait(request))
}

/** How an upgrade may carry a ticket. */
const CARRIED: Record<keyof typeof transports, ((path: string, ticket: string) => [path: string, ticket?: string])[]> = {
  subprotocol: [(path, ticket) => [path, ticket]],
  both: [
    (path, ticket) => [path, ticket],
    (path, ticket) => [`${path}?ticket=${ticket}`],
    (path, ticket) => [`${path}?a=b&%74icket=${ticket}`],
    (path, ticket) => [`${path}?ticket=${ticket}`, ticket],
    (path, ticket) => [`${path};ticket=${ticket}`]
  ]
}

/** Every way in which an upgrade may end. */
const ENDINGS: Record<string, { path?: string; options?: KnockOptions }> = {
  'the 101': {},
  'a foreign Origin': { options: { changes: { Origin: 'https://evil.example' } } },
  'no key': { options: { changes: { 'Sec-WebSocket-Key': undefined } } },
  'version 8': { options: { changes: { 'Sec-WebSocket-Version': '8' } } },
  POST: { options: { line: 'POST /echo HTTP/1.1' } },
  'too many headers': { options: { changes: Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`X-${i}`, '1'])) } },
  'no WebSocket': { path: '/rest' },
  'nothing there': { path: '/unknown' },
  'a hook that fails': { path: '/failing' },
  'an error handler of its own': { path: '/handling' }
}

for (const [name, ticketTransport] of Object.entries(transports)) {
  const { logger, lines } = captureLog('trace')
  const store = new WatchedStore()
  const plugin = { ...plenty, store, ticketTransport, replay: 'disconnect' as const }
  const declare = (app: FastifyInstance) => declareTalkative(app, name === 'both')
  const carriers = name === 'both' ? CARRIED.both : CARRIED.subprotocol

  attack(
    `C9 a ticket is in no log, error, 101, close reason or number, by ${name}`,
    { server: { logger }, plugin, declare },
    async (t, scene) => {
      const { app, port } = scene
      const canaries = new Canaries()
      const tryOut = async (path: string, options?: KnockOptions) => {
        for (const carry of carriers) {
          const ticket = await canaries.next(t, app)
          const [url, offered] = carry(path, ticket)
          const line = options?.line?.replace(path, url)
          canaries.told((await knock(t, port, url, offered, { ...options, ...(line && { line }) })).text)
        }
      }
      for (const { path = '/echo', options } of Object.values(ENDINGS)) await tryOut(path, options)
      for (const step of ['find', 'redeem'] as const) {
        store.change(step, () => {
          throw new Error('the store is broken')
        })
        await tryOut('/echo')
        store.recover()
      }
      await tryReplays(t, scene, canaries)
      await tryRefreshing(t, scene, canaries, store)
      canaries.notFound(t, scene, lines)
    }
  )
}

/** The first connection is closed, and told a reason. */
async function tryReplays(t: Test, { app, port }: Scene, canaries: Canaries): Promise<void> {
  const ticket = await canaries.next(t, app)
  const first = open(t, app, '/echo', ['fastify-ws-ticket.v1', `ticket.${ticket}`])
  canaries.told(JSON.stringify(await first.next()))
  canaries.told((await knock(t, port, '/echo', ticket)).text)
  const { code, reason } = await first.closed
  t.equal(code, 4409)
  canaries.told(reason)
}

async function tryRefreshing(t: Test, { app }: Scene, canaries: Canaries, store: WatchedStore): Promise<void> {
  const client = await connect(t, app, '/echo')
  const welcome = await client.next()
  const body = JSON.stringify({ refresh: Object(welcome.payload).connection })
  const ask = async (payload: unknown, type = '$refresh') => canaries.told(JSON.stringify(await client.request(type, payload)))
  await ask({ ticket: await canaries.next(t, app), and: 1 })
  await ask({ ticket: [await canaries.next(t, app)] })
  await ask({ ticket: `${await canaries.next(t, app)} ` })
  await ask({ text: 1, ticket: await canaries.next(t, app) }, 'echo')
  store.change('redeem', () => {
    throw new Error('the store is broken')
  })
  await ask({ ticket: await canaries.next(t, app, body) })
  store.recover()
  const good = await canaries.next(t, app, body)
  await ask({ ticket: good })
  client.send({ type: '$refresh', id: 1, payload: { ticket: good } })
  const { code, reason } = await client.closed
  t.equal(code, 4409)
  canaries.told(reason)
}

const foreign = captureLog('trace')
const withQuery = { server: { logger: foreign.logger }, plugin: { ...plenty, ticketTransport: transports.both } }

/** Sends a ticket to an address in the query, as an upgrade and as a plain GET; answers what is told of it. */
async function misdirect(
  t: Test,
  { app, port }: Scene,
  path: string
): Promise<{ how: string; ticket: string; answer: string; log: string }[]> {
  const told: { how: string; ticket: string; answer: string; log: string }[] = []
  for (const how of ['as an upgrade', 'as a plain GET']) {
    const ticket = await ticketFor(t, app, '/echo')
    const url = `${path}?ticket=${ticket}`
    const from = foreign.lines.length
    const plain = requestBytes(`GET ${url} HTTP/1.1`, { Host: 'localhost', Connection: 'close' })
    const { text } = how === 'as an upgrade' ? await knock(t, port, url) : await exchangeHttp(t, port, plain)
    told.push({ how, ticket, answer: text, log: JSON.stringify(foreign.lines.slice(from)) })
  }
  return told
}

const WRONG = ['/echo', '/unknown', '/echo/ticket', '/honest']
const MALFORMED = ['/%zz', '/echo/%zz']

attack('C9 a ticket that is sent to a wrong address is in no line of the log', withQuery, async (t, scene) => {
  for (const path of [...WRONG, ...MALFORMED]) {
    for (const { how, ticket, log } of await misdirect(t, scene, path)) t.notOk(log.includes(ticket), `${path}, ${how}`)
  }
})

attack('C9 a ticket that is sent to a wrong address is in no answer', withQuery, async (t, scene) => {
  for (const path of WRONG) {
    for (const { how, ticket, answer } of await misdirect(t, scene, path)) t.notOk(answer.includes(ticket), `${path}, ${how}`)
  }
})

attack('C9 a ticket that is sent to a malformed address is in no answer to an upgrade', withQuery, async (t, scene) => {
  for (const path of MALFORMED) {
    const told = await misdirect(t, scene, path)
    // a plain request is answered by Fastify, which tells the sender the address as it was sent
    for (const { ticket, answer } of told.filter(({ how }) => how === 'as an upgrade')) t.notOk(answer.includes(ticket), path)
  }
})
