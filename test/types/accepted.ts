import fastifyJwt from '@fastify/jwt'
import Fastify, { type FastifyInstance, type FastifyPluginAsync, type FastifyRequest } from 'fastify'
import { type Cluster, Redis } from 'ioredis'
import type { Cluster as Cluster5, Redis as Redis5 } from 'ioredis5'
import type { Redis as Valkey, Cluster as ValkeyCluster } from 'iovalkey'
import Type, { type TSchema } from 'typebox'
import { WebSocket } from 'ws'
import { type Client, type ClientStatus, createClient, type WebSocketClass, WsTicketError } from '../../src/client/index.js'
import wsTicketByDefault, {
  type AsyncApiDocument,
  type Connection,
  type Contract,
  defineContract,
  type EventPayload,
  type Handler,
  type Handlers,
  type Jsonified,
  type MessageContract,
  type MessagePayload,
  type MessageReply,
  type RedisClient,
  type TicketStore,
  type WithPayload,
  type WsRoute,
  type WsRouteOptions,
  type WsTicketOptions,
  wsTicket
} from '../../src/index.js'
import {
  connect,
  type Frame,
  manualClock,
  type TestConnection,
  WsTicketError as TestError,
  type TestedUser
} from '../../src/testing/index.js'
import type { UserOf } from '../../src/testing/tested-user.js'

/** Compiles only where both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function same<A, B>(..._proof: Same<A, B> extends true ? [] : [never]): void {}
function isExactly<Expected>() {
  return <Actual>(_value: Actual, ..._proof: Same<Actual, Expected> extends true ? [] : [never]): void => {}
}

export const chat = defineContract({
  messages: {
    'chat.send': {
      payload: Type.Object({ room: Type.String({ maxLength: 64 }), text: Type.String({ maxLength: 500 }) }),
      reply: Type.Object({ id: Type.String() })
    },
    'chat.leave': { payload: Type.Object({ room: Type.String() }) }
  },
  events: {
    'chat.message': Type.Object({ room: Type.String(), from: Type.String(), text: Type.String(), id: Type.String() })
  }
})

same<MessagePayload<typeof chat, 'chat.send'>, { room: string; text: string }>()
same<MessageReply<typeof chat, 'chat.send'>, { id: string }>()
same<MessageReply<typeof chat, 'chat.leave'>, null>()
same<EventPayload<typeof chat, 'chat.message'>, { room: string; from: string; text: string; id: string }>()

const app = Fastify()
await app.register(fastifyJwt, { secret: 'x' })
await app.register(wsTicket, { allowedOrigins: ['https://app.example.com'] })
await app.register(wsTicketByDefault, { allowedOrigins: [] as string[], allowMissingOrigin: true })

const chatRoute = app.wsRoute('/chat', {
  contract: chat,
  authorize: async (request) => {
    if (request.isTicketUpgrade) return false
    return { role: 'member' }
  },
  rateLimit: { max: 50, timeWindow: '1 second' },
  handlers: {
    'chat.send': {
      rateLimit: { max: 10, timeWindow: '10 seconds', per: 'user' },
      handler: async (payload, connection) => {
        same<typeof payload, { room: string; text: string }>()
        isExactly<{ role: string }>()(connection.context)
        const id = connection.id
        chatRoute.publish(`room:${payload.room}`, 'chat.message', { ...payload, from: connection.userId, id })
        return { id }
      }
    },
    'chat.leave': (payload, connection) => {
      connection.unsubscribe(payload.room)
    }
  },
  onOpen(connection) {
    connection.subscribe('room:lobby')
    connection.send('chat.message', { room: 'lobby', from: 'server', text: connection.context.role, id: '1' })
  },
  onClose(connection, code, reason) {
    isExactly<number>()(code)
    isExactly<string>()(reason)
    connection.log.info('bye')
  }
})

const message = { room: '1', from: 'rest', text: 'hi', id: '1' }
app.post('/rooms/:room/messages', async () => chatRoute.publish('room:1', 'chat.message', message))
const { delivered } = chatRoute.send({ user: 'ann' }, 'chat.message', message)
isExactly<number>()(delivered)
chatRoute.send({ connection: 'x' }, 'chat.message', message)
chatRoute.send({ all: true }, 'chat.message', message)
const { disconnected, ticketsVoided } = await chatRoute.disconnect({ user: 'ann' }, 4403)
same<typeof disconnected, typeof ticketsVoided>()
same<ReturnType<typeof chatRoute.connections>[number]['context'], { role: string }>()

app.wsTicket.publish('room:1', 'chat.message', message)
await app.wsTicket.disconnect({ all: true })
app.wsTicket.stats()
const servers = { main: { host: 'chat.example.com', protocol: 'wss' } } as const
isExactly<AsyncApiDocument>()(app.wsTicket.asyncapi({ title: 'Chat', version: '1.0.0', servers, openapi: '/openapi.json' }))
isExactly<string | undefined>()(app.wsTicket.asyncapi().channels.chat?.address)
app.wsRoute('/described', { contract: defineContract({}), handlers: {}, schema: { externalDocs: { url: '/asyncapi.json' } } })

const empty = defineContract({})
const onlyEvents = defineContract({ events: { news: Type.String() } })

// contracts of functions that are generic in their schemas, and properties that are called as parts of a contract are
export const contractWith = <M extends Record<string, MessageContract>, S extends TSchema>(messages: M, schema: S) =>
  defineContract({ messages, events: { one: schema } })
const answer = Type.Object({ payload: Type.String(), response: Type.String() })
export const named: Contract = contractWith({ ask: { payload: answer, reply: answer } }, answer)

// bare functions, sync and async
app.wsRoute('/bare', {
  contract: chat,
  handlers: { 'chat.send': ({ text }) => ({ id: text }), 'chat.leave': async () => {} }
})

// nothing to handle
app.wsRoute('/news', { contract: onlyEvents, handlers: {} }).publish('all', 'news', 'hi')
app.wsRoute('/empty', { contract: empty, handlers: {} })

// without authorize the context is null
app.wsRoute('/null', {
  contract: empty,
  handlers: {},
  onOpen: (connection) => isExactly<null>()(connection.context)
})

// an authorize that only refuses
app.wsRoute('/refusing', {
  contract: empty,
  handlers: {},
  authorize: (request) => {
    if (request.ip === '192.0.2.1') throw new Error('no')
    return null
  }
})

// parameters of the path
app.wsRoute('/rooms/:room/seats/:seat', {
  contract: empty,
  handlers: {},
  authorize: (request) => ({ room: request.params.room }),
  onOpen(connection) {
    isExactly<string>()(connection.params.room)
    isExactly<string>()(connection.params.seat)
    isExactly<{ room: string }>()(connection.context)
  }
})
app.wsRoute('/ids/:id(^\\d+$)', { contract: empty, handlers: {}, onOpen: ({ params }) => isExactly<string>()(params.id) })
app.wsRoute('/maybe/:id?', { contract: empty, handlers: {}, onOpen: ({ params }) => void params.id?.length })
app.wsRoute('/files/*', { contract: empty, handlers: {}, onOpen: ({ params }) => isExactly<string>()(params['*']) })

// parameters by a schema
app.wsRoute('/numbers/:n', {
  contract: chat,
  schema: { params: Type.Object({ n: Type.Integer() }), querystring: Type.Object({}), tags: ['chat'], summary: 'Chat' },
  authorize: ({ params }) => params.n,
  handlers: {
    'chat.send': (_payload, { params, context }) => ({ id: String(params.n + context) }),
    'chat.leave': () => {}
  }
})

// options of Fastify and limits of its own
app.wsRoute('/options', {
  contract: empty,
  handlers: {},
  onRequest: async (request) => void request.log.info('hook'),
  preHandler: [async () => {}, (_request, _reply, done) => done()],
  constraints: { host: 'a.example' },
  logLevel: 'warn',
  inFlight: 4,
  idleTimeout: false,
  pingInterval: '10 seconds',
  maxConnectionsPerUser: 1
})

// handlers and helpers in other files
const handlers: Handlers<typeof chat, { role: string }, unknown> = {
  'chat.send': ({ text }) => ({ id: text }),
  'chat.leave': () => {}
}
export const elsewhere = app.wsRoute('/elsewhere', { contract: chat, authorize: () => ({ role: 'x' }), handlers })
same<typeof elsewhere extends WsRoute<typeof chat, { role: string }> ? true : false, true>()

// handlers that are typed one by one, whatever stands beside them; what authorize returns decides
type Member = { admin: boolean }
type Room = { room: string }
const send: Handler<typeof chat, 'chat.send', Member, Room> = ({ text }, { context, params }) => ({
  id: `${text}${context.admin}${params.room}`
})
const leave: Handler<typeof chat, 'chat.leave', Member, Room> = ({ room }, connection) => connection.unsubscribe(room)
const leaveWith = (_payload: object, connection: Connection<typeof chat, Member, Room>) => connection.close()
const opened = (connection: Connection<typeof chat, Member, Room>) => connection.subscribe(connection.params.room)
const all: Handlers<typeof chat, Member, Room> = { 'chat.send': send, 'chat.leave': leave }
const satisfying = { 'chat.send': send, 'chat.leave': () => {} } satisfies Handlers<typeof chat, Member, Room>
app.wsRoute('/one/:room', {
  contract: chat,
  authorize: (request) => request.params.room === '1' && { admin: true },
  handlers: { 'chat.send': (_payload, { context }) => ({ id: isExactly<Member>()(context) ?? '1' }), 'chat.leave': leave },
  onOpen: opened,
  onClose: ({ context }) => isExactly<Member>()(context)
})
app.wsRoute('/each/:room', {
  contract: chat,
  authorize: async (request) => request.params.room === '1' && { admin: request.ip === '::1' },
  handlers: { 'chat.send': { handler: send, rateLimit: { max: 1, timeWindow: 1 } }, 'chat.leave': leave }
})
const whole = app.wsRoute('/all/:room', { contract: chat, authorize: ({ ip }) => ip === '::1' && { admin: true }, handlers: all })
isExactly<Member>()(whole.connections()[0]?.context ?? { admin: true })
app.wsRoute('/spread/:room', {
  contract: chat,
  authorize: ({ ip }) => ip === '::1' && { admin: true },
  handlers: { ...all, 'chat.leave': (_payload, { context }) => isExactly<Member>()(context) }
})
app.wsRoute('/satisfies/:room', { contract: chat, authorize: ({ ip }) => ip === '::1' && { admin: true }, handlers: satisfying })
app.wsRoute('/annotated/:room', {
  contract: chat,
  authorize: ({ ip }): Member | false => (ip === '::1' ? { admin: true } : false),
  handlers: { 'chat.send': () => ({ id: '1' }), 'chat.leave': leave }
})
app.wsRoute('/helper/:room', {
  contract: chat,
  authorize: ({ ip }) => ip === '::1' && { admin: true },
  handlers: { 'chat.send': send, 'chat.leave': leaveWith }
})
app.wsRoute('/throwing/:room', {
  contract: chat,
  authorize: ({ ip }) => {
    if (ip === '::1') throw new Error('no')
    return { admin: true }
  },
  handlers: { 'chat.send': (_payload, { context }) => ({ id: String(context.admin) }), 'chat.leave': leave }
})
app.wsRoute<typeof chat, '/explicit/:room', Member>('/explicit/:room', {
  contract: chat,
  authorize: ({ ip }) => ip === '::1' && { admin: true },
  handlers: all
})

// the context as it comes back from JSON
interface Ticketed {
  readonly id: string
  at?: Date
  tags: Set<string>
  seats: readonly [Date, number | undefined]
  left: (Date | undefined)[]
  next?: Ticketed
  save(): void
  more: unknown
  by: Record<string, 'a' | Date>
}
app.wsRoute('/json', {
  contract: empty,
  handlers: {},
  authorize: (request): Ticketed | false => Object(request),
  onOpen({ context }) {
    isExactly<string>()(context.id)
    isExactly<string | undefined>()(context.at)
    isExactly<Record<never, never>>()(context.tags)
    isExactly<readonly [string, number | null]>()(context.seats)
    isExactly<(string | null)[]>()(context.left)
    isExactly<string | undefined>()(context.next?.next?.at)
    isExactly<undefined>()(context.save)
    isExactly<unknown>()(context.more)
    isExactly<Record<string, string>>()(context.by)
  }
})
app.wsRoute('/nothing', {
  contract: empty,
  handlers: {},
  authorize: async ({ ip }) => {
    if (ip === '::1') throw new Error('no')
  },
  onOpen: ({ context }) => isExactly<null>()(context)
})

// nothing always, or a value always, or who knows: an answer that is not sometimes undefined
declare const roles: ReadonlyMap<string, { role: string }>
// biome-ignore lint/suspicious/noExplicitAny: what a module without types gives
declare const untyped: (ip: string) => any
declare const unclear: (ip: string) => unknown
declare const reject: (ip: string) => void | undefined
declare const rejectLater: (ip: string) => Promise<void>
app.wsRoute('/check', { contract: empty, handlers: {}, authorize: ({ ip }) => reject(ip) })
app.wsRoute('/check-later', { contract: empty, handlers: {}, authorize: ({ ip }) => rejectLater(ip) })
app.wsRoute('/throws', {
  contract: empty,
  handlers: {},
  authorize: () => {
    throw new Error('no')
  }
})
app.wsRoute('/false-or-nothing', {
  contract: empty,
  handlers: {},
  authorize: ({ ip }) => (ip === '::1' ? false : undefined),
  onOpen: ({ context }) => isExactly<null>()(context)
})
app.wsRoute('/or-false', {
  contract: chat,
  authorize: async ({ ip }) => roles.get(ip) ?? false,
  handlers: {
    'chat.send': (_payload, { context }) => ({ id: isExactly<string>()(context.role) ?? '1' }),
    'chat.leave': (_payload, { context }) => isExactly<{ role: string }>()(context)
  }
})
app.wsRoute('/or-null', {
  contract: empty,
  handlers: {},
  authorize: ({ ip }) => roles.get(ip) ?? null,
  onOpen: ({ context }) => isExactly<{ role: string } | null>()(context)
})
app.wsRoute('/untyped', { contract: empty, handlers: {}, authorize: ({ ip }) => untyped(ip), onOpen: ({ context }) => context.role })
app.wsRoute('/unclear', {
  contract: empty,
  handlers: {},
  authorize: async ({ ip }) => unclear(ip),
  onOpen: ({ context }) => isExactly<unknown>()(context)
})

// where nothing before it has the context, or it takes no request, authorize may come later
app.wsRoute('/later', {
  contract: chat,
  handlers: { 'chat.send': ({ text }) => ({ id: text }), 'chat.leave': () => {} },
  authorize: ({ ip }) => ip === '::1' && { ip },
  onOpen: ({ context }) => isExactly<{ ip: string }>()(context)
})
app.wsRoute('/latest', {
  contract: chat,
  handlers: { 'chat.send': (_payload, { context }) => ({ id: context.role }), 'chat.leave': () => {} },
  onOpen: ({ context }) => isExactly<{ role: string }>()(context),
  authorize: () => ({ role: 'x' })
})
app.wsRoute('/nobody', {
  contract: empty,
  handlers: {},
  onOpen: ({ context }) => context,
  authorize: ({ ip }) => {
    if (ip === '::1') return false
    throw new Error('no')
  }
})

// functions that are generic in the context, and options of any
export function declare<C extends Contract, Context>(options: WsRouteOptions<C, Context, string, undefined>) {
  return app.wsRoute('/generic', options)
}
export function declareChecked<Context>(authorize: (request: FastifyRequest) => Context | Promise<Context>) {
  return app.wsRoute('/generic', { contract: empty, handlers: {}, authorize })
}
declare const anyOptions: WsRouteOptions<Contract, unknown, string, undefined>
app.wsRoute('/any', anyOptions)

// handlers that return what the route itself answers say what that is, or return nothing of it
const loop = app.wsRoute('/loop', {
  contract: chat,
  handlers: {
    'chat.send': ({ text }): { id: string } => ({ id: String(loop.publish(text, 'chat.message', message).delivered) }),
    'chat.leave': () => {
      loop.publish('all', 'chat.message', message)
    }
  }
})
same<Jsonified<{ a: Date; b: bigint }>, { a: string; b: never }>()

export function greet(connection: Connection<typeof chat>): boolean {
  return connection.send('chat.message', message)
}

declare const store: TicketStore
export const options: WsTicketOptions = {
  allowedOrigins: ['null'],
  ticketTtl: '10 seconds',
  ticketTransport: ['subprotocol', 'query'],
  replay: 'disconnect',
  authenticate: async (request) => ({ sub: request.id }),
  userId: (claims) => String(claims.sub),
  issuePerUser: { max: 1, timeWindow: 1000 },
  badMessages: { max: 1, timeWindow: '1 minute', burst: 2 },
  store
}

// every client that there is, of one server and of a Cluster
declare const clients: (Redis | Cluster | Redis5 | Cluster5 | Valkey | ValkeyCluster)[]
for (const redis of clients)
  app.register(wsTicket, { allowedOrigins: ['null'], redis, redisPrefix: 'app', redisTimeout: '1s', redisReplicas: 1 })
export const client: RedisClient = new Redis({ lazyConnect: true })

// as @fastify/autoload finds it
const plugin: FastifyPluginAsync = async (fastify) => {
  const route = fastify.wsRoute('/loaded', {
    contract: chat,
    handlers: { 'chat.send': () => ({ id: '1' }), 'chat.leave': () => {} }
  })
  fastify.get('/', async () => route.connections().length)
}
export default plugin
export async function pluginFunction(fastify: FastifyInstance): Promise<void> {
  fastify.wsRoute('/function', { contract: empty, handlers: {} })
}

// the client
const chatClient = createClient<typeof chat>({
  url: '/chat',
  token: async ({ refused }) => (refused ? null : 'x'),
  WebSocket,
  fetch,
  origin: 'https://app.example.com',
  backoff: { max: 5000 },
  onOpen: (client) => client.send('chat.leave', { room: 'lobby' })
})
createClient<typeof chat>({ url: 'wss://api.example.com/chat', token: () => undefined })
isExactly<Client<typeof chat>>()(chatClient)
isExactly<ClientStatus>()(chatClient.status)
const { signal } = new AbortController()
isExactly<{ id: string }>()(await chatClient.send('chat.send', { room: 'lobby', text: 'x' }, { signal, timeout: 1000, repeat: true }))
isExactly<null>()(await chatClient.send('chat.leave', { room: 'lobby' }))
const undo: () => void = chatClient.on('chat.message', (message, topic) => {
  isExactly<EventPayload<typeof chat, 'chat.message'>>()(message)
  isExactly<string | undefined>()(topic)
})
undo()
for await (const message of chatClient.events('chat.message')) isExactly<EventPayload<typeof chat, 'chat.message'>>()(message)
chatClient.onStatus((status, reason) => {
  isExactly<ClientStatus>()(status)
  isExactly<number | undefined>()(reason?.retryAfter)
})
// a payload that may be {} may be left out
const lists = defineContract({
  messages: {
    all: { payload: Type.Object({}), reply: Type.Array(Type.String()) },
    some: { payload: Type.Object({ from: Type.Optional(Type.Integer()) }) },
    any: { payload: Type.Unknown() },
    mapped: { payload: Type.Record(Type.String(), Type.String()) }
  }
})
declare const reader: Client<typeof lists>
isExactly<string[]>()(await reader.send('all'))
reader.send('all', {}, { timeout: 1 })
reader.send('all', undefined, { timeout: 1 })
reader.send('some')
reader.send('some', { from: 1 }, { signal })
reader.send('any')
reader.send('mapped')

try {
  await chatClient.send('chat.leave', { room: 'x' })
} catch (error) {
  if (error instanceof WsTicketError && error.code === 'QUEUE_FULL') isExactly<boolean>()(error.mayHaveExecuted)
  if (error instanceof WsTicketError && error.code === 'TIMEOUT') isExactly<unknown>()(error.cause)
}

/** The WebSocket of browsers, as TypeScript's own declarations have it, in short. */
interface PageSocket extends EventTarget {
  onclose: ((this: PageSocket, event: Event & { readonly code: number }) => unknown) | null
  onerror: ((this: PageSocket, event: Event) => unknown) | null
  onmessage: ((this: PageSocket, event: Event & { readonly data: unknown }) => unknown) | null
  close(code?: number, reason?: string): void
  send(data: string | ArrayBufferLike): void
}
declare const PageSocket: { prototype: PageSocket; new (url: string | URL, protocols?: string | string[]): PageSocket }
PageSocket satisfies WebSocketClass

// tests of apps
const clock = manualClock()
app.register(wsTicket, { allowedOrigins: [], allowMissingOrigin: true, clock })
await clock.advance('1 hour')
const ann = await connect<typeof chat>(app, '/chat?lang=de', {
  user: { sub: 'ann' },
  origin: null,
  ip: '::1',
  timeout: 100,
  autoPong: false
})
isExactly<TestConnection<typeof chat>>()(ann)
isExactly<{ id: string }>()(await ann.request('chat.send', { room: 'lobby', text: 'x' }, { timeout: 10 }))
isExactly<null>()(await ann.request('chat.leave', { room: 'lobby' }))
ann.send('chat.leave', { room: 'lobby' })
isExactly<EventPayload<typeof chat, 'chat.message'>>()((await ann.next('chat.message')).payload)
isExactly<number>()((await ann.next('$expiring')).payload.expiresAt)
isExactly<Frame<typeof chat>>()(await ann.next())
for (const frame of ann.unread) if (frame.type === 'chat.message') isExactly<string>()(frame.payload.from)
isExactly<number>()(await ann.refresh({ token: 'x' }))
isExactly<number>()((await ann.close(1000, 'x')).code)
declare const listing: TestConnection<typeof lists>
isExactly<string[]>()(await listing.request('all'))
listing.request('some', undefined, { timeout: 1 })
listing.request('some', { from: 1 })
listing.send('all')
listing.send('some', { from: 1 })
same<WithPayload<{ a?: 1 }>, [payload?: { a?: 1 } | undefined]>()
same<WithPayload<{ a: 1 }, [b?: 2]>, [payload: { a: 1 }, b?: 2]>()
export const asAnybody: TestConnection = await connect(app, '/chat', { headers: { 'x-api-key': 'x' } })
isExactly<unknown>()(await asAnybody.request('anything', { at: 'all' }))
export const secure = connect(Fastify({ https: {} }), '/chat')
export const overHttp2 = connect(Fastify({ http2: true, https: { allowHTTP1: true } }), '/chat')
same<TestedUser, object>()
same<UserOf<FastifyInstance, FastifyRequest>, object>()
same<UserOf<object, object>, object>()
same<UserOf<{ jwt: { own: object } }, { user: { [claim: string]: unknown; sub: string } }>, { [claim: string]: unknown; sub: string }>()
type Signs<Payload> = { jwt: { sign(payload: Payload): string; sign(payload: Payload, options: object, callback: () => void): void } }
type Asks<User> = { user: User }
type Anything = string | object | Buffer
type Declared = { id: number; teams: string[]; iat: number; exp: number } | { robot: true }
export const users: UserOf<Signs<Anything>, Asks<Declared>>[] = [
  { id: 1, teams: [] },
  { id: 1, teams: [], exp: 1 },
  { robot: true, nbf: 1 }
]
export const payloads: UserOf<Signs<{ name: string }>, Asks<Declared>>[] = [{ name: 'ann' }, { name: 'ann', iat: 1, exp: 2 }]
export const isTestError = (error: unknown) => error instanceof TestError && error.code === 'FST_WS_TICKET_FORBIDDEN'
