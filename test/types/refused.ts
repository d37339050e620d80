import Fastify from 'fastify'
import Type from 'typebox'
import { createClient } from '../../src/client/index.js'
import { type Connection, defineContract, type Handler, type TicketStore, wsTicket } from '../../src/index.js'
import { connect, manualClock } from '../../src/testing/index.js'
import type { UserOf } from '../../src/testing/tested-user.js'

const chat = defineContract({
  messages: {
    say: { payload: Type.Object({ text: Type.String() }), reply: Type.Object({ id: Type.String() }) },
    note: { payload: Type.Number() }
  },
  events: { news: Type.Object({ text: Type.String() }) }
})
const lists = defineContract({ messages: { some: { payload: Type.Object({ from: Type.Optional(Type.Integer()) }) } } })
const empty = defineContract({})
const note = () => {}
const say = () => ({ id: '1' })
const app = Fastify()

// payloads and replies
app.wsRoute('/a', {
  contract: chat,
  handlers: {
    say: (payload) => ({ id: payload.txet }), // error TS2339
    note: (payload) => void payload.length // error TS2339
  }
})
app.wsRoute('/b', { contract: chat, handlers: { note, say: (payload: { text: number }) => ({ id: String(payload.text) }) } }) // error TS2322
app.wsRoute('/c', { contract: chat, handlers: { note, say: () => ({}) } }) // error TS2322
app.wsRoute('/d', { contract: chat, handlers: { note, say: () => ({ id: 1 }) } }) // error TS2322
app.wsRoute('/e', { contract: chat, handlers: { note, say: () => {} } }) // error TS2322
app.wsRoute('/f', { contract: chat, handlers: { note, say: async () => ({ id: 1 }) } }) // error TS2322
app.wsRoute('/g', { contract: chat, handlers: { note, say: { handler: () => ({ id: 1 }) } } }) // error TS2322

// the set of handlers
app.wsRoute('/h', { contract: chat, handlers: { note } }) // error TS2741
app.wsRoute('/i', { contract: chat, handlers: { note, say, shout: note } }) // error TS2353
app.wsRoute('/k', { contract: chat }) // error TS2345
app.wsRoute('/l', { handlers: {} }) // error TS2345

// limits of a handler
app.wsRoute('/m', { contract: chat, handlers: { say, note: { handler: note, rateLimit: { max: 1, timeWindow: 1, per: 'room' } } } }) // error TS2322
app.wsRoute('/n', { contract: chat, handlers: { say, note: { handler: note, rateLimit: { max: 1 } } } }) // error TS2322
app.wsRoute('/o', { contract: chat, handlers: { say, note: { handler: note, limit: 1 } } }) // error TS2353

// publishing
const route = app.wsRoute('/p', { contract: chat, handlers: { say, note } })
route.publish('all', 'nwes', { text: 'x' }) // error TS2345
route.publish('all', 'news', { txet: 'x' }) // error TS2353
route.publish('all', 'news', { text: 1 }) // error TS2322
route.publish('all', 'news', { text: 'x', more: 1 }) // error TS2353
route.publish('all', 'say', { text: 'x' }) // error TS2345
route.send({ users: 'ann' }, 'news', { text: 'x' }) // error TS2353
route.send({ all: false }, 'news', { text: 'x' }) // error TS2322
route.disconnect('ann') // error TS2345

// connections
declare const connection: Connection<typeof chat, { role: string }, { room: string }>
connection.send('nwes', { text: 'x' }) // error TS2345
connection.send('news', { text: 1 }) // error TS2322
connection.id = 'x' // error TS2540
connection.user = {} // error TS2540
connection.userId = 'x' // error TS2540
connection.context = { role: 'x' } // error TS2540
connection.params = { room: 'x' } // error TS2540
connection.ip = 'x' // error TS2540
connection.topics = new Set() // error TS2540
connection.expiresAt = 0 // error TS2540
connection.log = app.log // error TS2540
connection.signal = AbortSignal.abort() // error TS2540
connection.topics.add('x') // error TS2339
connection.request.ip // error TS2339

// the path's parameters and what authorize returns
app.wsRoute('/rooms/:room', {
  contract: empty,
  handlers: {},
  authorize: ({ params }) => ({ role: params.nope }), // error TS2339
  onOpen(connection) {
    connection.params.nope // error TS2339
    connection.context.rank // error TS2339
  }
})
app.wsRoute('/numbers/:n', {
  contract: empty,
  schema: { params: Type.Object({ n: Type.Integer() }) },
  handlers: {},
  onOpen: ({ params }) => void params.n.length // error TS2339
})

// handlers of another context, or of other parameters
const ask: Handler<typeof chat, 'note', { role: string }, { room: string }> = () => {}
app.wsRoute('/rooms/:room', { contract: chat, handlers: { say, note: ask } }) // error TS2322
app.wsRoute('/rooms/:nr', { contract: chat, authorize: () => ({ role: 'x' }), handlers: { say, note: ask } }) // error TS2322
app.wsRoute('/rooms/:room', { contract: chat, authorize: ({ id }) => id === '1' && { role: 1 }, handlers: { say, note: ask } }) // error TS2322
app.wsRoute('/dates', {
  contract: empty,
  handlers: {},
  authorize: () => ({ at: new Date() }),
  onOpen: ({ context }) => void context.at.getTime() // error TS2339
})

// an answer of authorize that is undefined in some cases, which would admit
declare const roles: ReadonlyMap<string, { role: string }>
declare const user: { admin?: boolean; role?: string }
declare const check: (ip: string) => void | { role: string }
app.wsRoute('/get', { contract: empty, handlers: {}, authorize: (request) => roles.get(request.ip) }) // error TS2322
app.wsRoute('/await-get', { contract: empty, handlers: {}, authorize: async ({ ip }) => roles.get(ip) }) // error TS2322
app.wsRoute('/without-request', { contract: empty, handlers: {}, authorize: () => roles.get('::1') }) // error TS2322
app.wsRoute('/claim', { contract: empty, handlers: {}, authorize: () => user.admin }) // error TS2322
app.wsRoute('/text', { contract: empty, handlers: {}, authorize: () => user.role }) // error TS2322
app.wsRoute('/and', { contract: empty, handlers: {}, authorize: ({ ip }) => ip === '::1' && roles.get(ip) }) // error TS2322
app.wsRoute('/check', { contract: empty, handlers: {}, authorize: ({ ip }) => check(ip) }) // error TS2322
app.wsRoute('/typed', { contract: empty, handlers: {}, authorize: ({ ip }): { role: string } | undefined => roles.get(ip) }) // error TS2322
app.wsRoute('/with-handlers', {
  contract: chat,
  authorize: (request) => roles.get(request.ip), // error TS2322
  handlers: { note, say: (_payload, { context }) => ({ id: context?.role ?? '1' }) },
  onOpen: (connection) => void connection.context?.role
})
const find = async ({ ip }: { ip: string }) => roles.get(ip)
app.wsRoute('/found', { contract: empty, handlers: {}, authorize: find }) // error TS2322

// an authorize that is read after what has its context
app.wsRoute('/late/:room', {
  contract: chat,
  handlers: { note, say: (_payload, { context }) => ({ id: context.role }) }, // error TS2339
  authorize: async ({ params }) => params.room === '1' && { role: 'x' } // error TS2322
})
app.wsRoute('/late-check', {
  contract: empty,
  handlers: {},
  onOpen: ({ context }) => context,
  authorize: ({ ip }) => void check(ip) // error TS2322
})

// a return type that would follow from that of the route itself; the README says what to do
// biome-ignore format: what is expected stands at the end of its line
const loop = app.wsRoute('/loop', { // error TS7022
  contract: chat,
  handlers: { note, say: ({ text }) => ({ id: String(loop.publish('all', 'news', { text }).delivered) }) } // error TS7023
})

// options
app.wsRoute('/q', { contract: empty, handlers: {}, inFligth: 4 }) // error TS2561
app.wsRoute('/r', { contract: empty, handlers: {}, inFlight: '4' }) // error TS2322
app.wsRoute('/s', { contract: empty, handlers: {}, ticketTtl: 5000 }) // error TS2353
app.wsRoute('/t', { contract: empty, handlers: {}, onOpen: 'x' }) // error TS2322
app.register(wsTicket, {}) // error TS2769
app.register(wsTicket) // error TS2769
app.register(wsTicket, { allowedOrigins: 'https://a.example' }) // error TS2769
app.register(wsTicket, { allowedOrigins: [], ticketTTL: 5 }) // error TS2769
app.register(wsTicket, { allowedOrigins: [], replay: 'kill' }) // error TS2769
app.register(wsTicket, { allowedOrigins: [], ticketTransport: ['header'] }) // error TS2769
app.register(wsTicket, { allowedOrigins: [], issuePerIp: { max: 1, timeWindow: 1, burst: 1 } }) // error TS2769
const store: Partial<TicketStore> = {}
app.register(wsTicket, { allowedOrigins: [], store }) // error TS2769

app.register(wsTicket, { allowedOrigins: [], redis: {} }) // error TS2769
app.register(wsTicket, { allowedOrigins: [], redis: 'redis://127.0.0.1' }) // error TS2769

// contracts
defineContract({ messages: { say: { reply: Type.String() } } }) // error TS2741
defineContract({ messages: { say: Type.String() } }) // error TS2741
defineContract({ event: {} }) // error TS2561
defineContract({ messages: { say: { payload: Type.String(), response: Type.String() } } }) // error TS2741
defineContract({ events: { news: { payload: Type.String() } } }) // error TS2741

// the document
app.wsTicket.asyncapi({ name: 'Chat' }) // error TS2353
app.wsTicket.asyncapi({ servers: { main: { host: 'x', protocol: 'http' } } }) // error TS2322
app.wsTicket.asyncapi().info.title = 'Chat' // error TS2540

// the client
const client = createClient<typeof chat>({ url: '/chat', token: () => 'x' })
createClient<typeof chat>({ url: '/chat' }) // error TS2741
createClient<typeof chat>({ url: '/chat', token: () => 1 }) // error TS2322
createClient<typeof chat>({ url: '/chat', token: 'x' }) // error TS2322
createClient<typeof chat>({ url: '/chat', token: () => 'x', timeout: '10s' }) // error TS2322
createClient<typeof chat>({ url: '/chat', token: () => 'x', retries: 1 }) // error TS2353
client.send('shout', { text: 'x' }) // error TS2345
client.send('say', { txet: 'x' }) // error TS2353
client.send('say', { text: 1 }) // error TS2322
client.send('say') // error TS2554
client.send('note', 1, { timeout: '1s' }) // error TS2322
client.send('note') // error TS2554
client.send('note', undefined) // error TS2345
client.send('say', { text: 'x' }).then(({ nr }) => nr) // error TS2339
client.on('nwes', () => {}) // error TS2345
client.on('say', () => {}) // error TS2345
client.on('news', ({ txet }) => txet) // error TS2339
client.events('nwes') // error TS2345
client.status = 'open' // error TS2540

const reader = createClient<typeof lists>({ url: '/lists', token: () => 'x' })
reader.send('some', { form: 1 }) // error TS2353
reader.send('some', { from: '1' }) // error TS2322
reader.send('some', {}, { timeout: '1s' }) // error TS2322
reader.send('some', {}, {}, {}) // error TS2554

// tests of apps
const ann = await connect<typeof chat>(app, '/chat', { user: { sub: 'ann' } })
connect(app, '/chat', { user: 'ann' }) // error TS2322
connect(app, '/chat', { orign: 'null' }) // error TS2561
connect({}, '/chat') // error TS2739
type Declared = UserOf<{ jwt: { sign(payload: string | object): string } }, { user: { id: number; teams: string[]; exp: number } }>
export const someone: Declared = { id: '1', teams: [] } // error TS2322
export const nobody: Declared = { id: 1 } // error TS2322
export const anybody: Declared = { id: 1, teams: [], more: 1 } // error TS2353
export const never: Declared = { id: 1, teams: [], exp: 'never' } // error TS2322
export const named: UserOf<{ jwt: { sign(payload: { name: string }): string } }, { user: { id: number } }> = { id: 1 } // error TS2353
ann.request('shout', { text: 'x' }) // error TS2345
ann.request('say', { txet: 'x' }) // error TS2353
ann.request('say', { text: 1 }) // error TS2322
ann.request('say') // error TS2554
ann.request('say', { text: 'x' }).then(({ nr }) => nr) // error TS2339
ann.send('news', { text: 'x' }) // error TS2345
ann.send('say', { text: 1 }) // error TS2322
ann.send('say') // error TS2554
ann.next('nwes') // error TS2345
ann.next('say') // error TS2345
ann.next('news').then(({ payload }) => payload.txet) // error TS2339
ann.id = 'x' // error TS2540
manualClock().advance(true) // error TS2345
