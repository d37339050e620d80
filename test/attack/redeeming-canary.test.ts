import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { exchangeHttp, type KnockOptions, knock, postTicket, type TicketPost, ticketFor } from '../fixtures/attacker.js'
import { Canaries } from '../fixtures/canaries.js'
import { connect, open } from '../fixtures/client.js'
import { captureLog } from '../fixtures/log.js'
import { requestBytes } from '../fixtures/raw-socket.js'
import type { HeaderChanges } from '../fixtures/upgrade.js'
import { WatchedStore } from '../fixtures/watched-store.js'

const many = { max: 10_000, timeWindow: 60_000 }
const plenty = { issuePerIp: many, issuePerUser: many, upgradePerIp: many, maxTicketsPerUser: 1000, maxConnectionsPerUser: 1000 }
const transports = { subprotocol: ['subprotocol' as const], both: ['subprotocol' as const, 'query' as const] }

/** A ticket that is looked for later on. */
async function nextTicket(t: Test, app: FastifyInstance, canaries: Canaries, body?: string): Promise<string> {
  return canaries.add(await ticketFor(t, app, '/echo', body === undefined ? {} : { body }))
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
      canaries.listen(t)
      const tryOut = async (path: string, options?: KnockOptions) => {
        for (const carry of carriers) {
          const ticket = await nextTicket(t, app, canaries)
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
      canaries.notFound(t, scene.app, lines, 20)
    }
  )
}

/** The first connection is closed, and told a reason. */
async function tryReplays(t: Test, { app, port }: Scene, canaries: Canaries): Promise<void> {
  const ticket = await nextTicket(t, app, canaries)
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
  await ask({ ticket: await nextTicket(t, app, canaries), and: 1 })
  await ask({ ticket: [await nextTicket(t, app, canaries)] })
  await ask({ ticket: `${await nextTicket(t, app, canaries)} ` })
  await ask({ text: 1, ticket: await nextTicket(t, app, canaries) }, 'echo')
  store.change('redeem', () => {
    throw new Error('the store is broken')
  })
  await ask({ ticket: await nextTicket(t, app, canaries, body) })
  store.recover()
  const good = await nextTicket(t, app, canaries, body)
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

/** An upgrade that has a ticket in its query, and others nowhere or in their place. */
const QUERIES: ((one: string, other: string) => [url: string, offered?: string])[] = [
  (one) => [`/echo?ticket=${one}`],
  (one) => [`/echo?a=b&%74icket=${one}`],
  (one, other) => [`/echo?ticket=${one}&ticket=${other}`],
  (one, other) => [`/echo?ticket=${one}`, other]
]

const byDefault = captureLog('trace')
const onError = async (request: FastifyRequest) => request.log.error(portrait(request))

attack(
  'C9 a ticket in the query is in no line of the log and no answer, where that is no place for it',
  {
    server: { logger: byDefault.logger },
    plugin: plenty,
    declare: (app) => app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, onError })
  },
  async (t, { app, port }) => {
    const canaries = new Canaries()
    canaries.listen(t)
    for (const carry of QUERIES) {
      const [url, offered] = carry(await nextTicket(t, app, canaries), await nextTicket(t, app, canaries))
      const upgrade = await knock(t, port, url, offered)
      t.match(upgrade, { status: 400, code: 'FST_WS_TICKET_MISPLACED_TICKET' })
      const plain = await exchangeHttp(t, port, requestBytes(`GET ${url} HTTP/1.1`, { Host: 'localhost', Connection: 'close' }))
      t.match(plain, { status: 426 })
      for (const { text } of [upgrade, plain]) canaries.told(text)
    }
    canaries.told((await knock(t, port, '/echo', await nextTicket(t, app, canaries))).text)
    canaries.notFound(t, app, byDefault.lines, 8)
  }
)

const jwts = captureLog('trace')

/** Where a JWT may be put, in an upgrade that else has a good ticket or none. */
const MISPLACED: ((jwt: string) => { ticket?: string; url?: string; changes?: HeaderChanges })[] = [
  (jwt) => ({ ticket: jwt }),
  (jwt) => ({ url: `/echo?ticket=${jwt}` }),
  (jwt) => ({ changes: { Authorization: `Bearer ${jwt}`, Cookie: `token=${jwt}` } }),
  (jwt) => ({ changes: { 'Sec-WebSocket-Protocol': `fastify-ws-ticket.v1, ${jwt}` } }),
  (jwt) => ({ changes: { 'Sec-WebSocket-Protocol': jwt } })
]

/** A JWT that is looked for later on, as a whole and its signature. */
function nextJwt(app: FastifyInstance, canaries: Canaries, claims: object = {}): string {
  const jwt = app.jwt.sign({ sub: 'ann', jti: randomUUID(), ...claims })
  canaries.add(jwt.slice(jwt.lastIndexOf('.') + 1))
  return canaries.add(jwt)
}

for (const ticketTransport of Object.values(transports)) {
  const store = new WatchedStore()
  attack(
    `C9 a JWT is in no log, error, 101, frame, close reason or number, sent to the right place or a wrong one, by ${ticketTransport.join(' and ')}`,
    {
      server: { logger: jwts.logger },
      plugin: { ...plenty, store, ticketTransport },
      declare(app) {
        const echo = { contract: echoContract, handlers: echoHandlers }
        app.wsRoute('/echo', { ...echo, onClose: ({ log }, code, reason) => log.info({ code, reason }) })
        app.wsRoute('/failing', { ...echo, authorize: () => Promise.reject(new Error('no such table')) })
      }
    },
    async (t, scene) => {
      const canaries = new Canaries()
      canaries.listen(t)
      const from = jwts.lines.length
      await trySigningIn(t, scene, canaries, store)
      await tryUpgrading(t, scene, canaries, store)
      await tryTalking(t, scene, canaries)
      canaries.notFound(t, scene.app, jwts.lines.slice(from), 20)
    }
  )
}

/** Where it belongs, good and bad, and beside it. */
async function trySigningIn(t: Test, { app }: Scene, canaries: Canaries, store: WatchedStore): Promise<void> {
  const ask = async (status: number, path: string, post: TicketPost) => {
    const answer = await postTicket(t, app, path, post)
    t.equal(answer.status, status)
    canaries.told(answer.text)
  }
  const next = (claims?: object) => nextJwt(app, canaries, claims)
  await ask(201, '/echo', { token: next() })
  await ask(500, '/failing', { token: next() })
  await ask(401, '/echo', { token: next({ exp: 1 }) })
  await ask(401, '/echo', { token: next({ nbf: 1e10 }) })
  await ask(401, '/echo', { token: next({ sub: {} }) })
  await ask(401, '/echo', { token: canaries.add(`${app.jwt.sign({ sub: 'ann' })}x`) })
  for (const scheme of ['', 'Basic ', 'Bearer  ', 'Bearer Bearer ']) {
    await ask(401, '/echo', { headers: { Authorization: `${scheme}${next()}` } })
  }
  await ask(403, '/echo', { token: next(), headers: { Origin: 'https://evil.example' } })
  for (const name of ['refresh', 'token']) await ask(400, '/echo', { body: JSON.stringify({ [name]: next() }) })
  Reflect.set(store, 'issue', () => Promise.reject(new Error('the store is broken')))
  await ask(503, '/echo', { token: next() })
  Reflect.deleteProperty(store, 'issue')
}

async function tryUpgrading(t: Test, { app, port }: Scene, canaries: Canaries, store: WatchedStore): Promise<void> {
  for (const misplace of MISPLACED) {
    for (const isWithTicket of [false, true]) {
      const good = isWithTicket ? await nextTicket(t, app, canaries) : undefined
      const { url = '/echo', ticket = good, changes = {} } = misplace(nextJwt(app, canaries))
      canaries.told((await knock(t, port, url, ticket, { changes })).text)
    }
  }
  store.change('find', () => {
    throw new Error('the store is broken')
  })
  const authorization = { Authorization: `Bearer ${nextJwt(app, canaries)}` }
  canaries.told((await knock(t, port, '/echo', await nextTicket(t, app, canaries), { changes: authorization })).text)
  store.recover()
}

async function tryTalking(t: Test, { app }: Scene, canaries: Canaries): Promise<void> {
  const client = await connect(t, app, '/echo')
  canaries.told(JSON.stringify(await client.next()))
  const next = () => nextJwt(app, canaries)
  for (const frame of [
    { type: '$refresh', id: 1, payload: { ticket: next() } },
    { type: next(), id: 1 },
    { type: 'echo', id: 1, payload: { text: { token: next() } } },
    { type: 'echo', id: 1, token: next(), payload: { text: 'x' } },
    next()
  ]) {
    client.send(frame)
    const answer = await client.next()
    t.equal(answer.type, '$error')
    canaries.told(JSON.stringify(answer))
  }
}
