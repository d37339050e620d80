import type { EventEmitter } from 'node:events'
import { WsTicketError } from '../client/error.js'
import { readTicket } from '../client/ticket.js'
import type { Contract } from '../contract.js'
import type { Settings } from '../options.js'
import { SUBPROTOCOL, TICKET_PROTOCOL_PREFIX } from '../protocol.js'
import { fromCall } from './call-site.js'
import { checkPath } from './check-path.js'
import { type Credentials, ticketHeaders, upgradeHeaders } from './credentials.js'
import { changed, Failures, joined } from './failures.js'
import { postInMemory } from './memory-request.js'
import { openMemorySocket, untilOpen } from './memory-socket.js'
import { misuse } from './misuse.js'
import { rootOf } from './root-of.js'
import { routeAt } from './route-at.js'
import { LiveTestConnection, type TestConnection, type UntypedConnection } from './test-connection.js'
import { within } from './within.js'

/** What is needed of a Fastify app, or of a scope of it; it need not listen. */
export interface TestedApp {
  readonly server: EventEmitter
  ready(): PromiseLike<unknown>
}

/** Who connects, and from where. */
export interface ConnectOptions extends Credentials {
  /**
   * The Origin, as a browser sends it; null for none, as other programs do. Default: the first of `allowedOrigins`, those of the
   * registration that has the route where the plugin is registered more than once.
   */
  origin?: string | null
  /** The client's address as the server sees it; it counts as one with TLS. Default: `127.0.0.1`. */
  ip?: string
  /**
   * Milliseconds that an answer, a frame or the close is waited for, unless told otherwise there. Default: 4,000, since vitest and Jest give
   * a whole test 5 seconds.
   */
  timeout?: number
  /** Whether pings are answered; without, the heartbeat closes the connection with 4408. Default: true. */
  autoPong?: boolean
}

/**
 * Opens a connection to a WebSocket route as a client does, with a ticket, but without a port: for tests. Resolves once it is
 * welcomed, and misses no frame that comes afterwards. `app.ready()` is called; the connection ends with the app, or before.
 *
 * What it rejects with leads to the line of the test; where the server has failed, and told a client no more than that, `cause` is why.
 *
 * @param path the whole path of the route, prefixes included, with its parameters filled in, and a query where there is one
 *
 * @example
 * const ann = await connect<typeof contract>(app, '/chat', { user: { sub: 'ann' } })
 * assert.deepEqual(await ann.request('chat.send', { text: 'hello' }), { id: 1 })
 * assert.equal((await ann.next('chat.message')).payload.text, 'hello')
 *
 * @throws WsTicketError with the `statusCode`, `code` and `retryAfter` of the answer where ticket or upgrade is refused;
 * TypeError where an option is not known, the path is none, the app has not registered the plugin, or the route has no `app.jwt` for `user`
 */
export function connect<C extends Contract = Contract>(app: TestedApp, path: string, options?: ConnectOptions): Promise<TestConnection<C>>
export function connect(app: TestedApp, path: string, options: ConnectOptions = {}): Promise<UntypedConnection> {
  return fromCall(connect, () => open(app, path, options))
}

async function open(app: TestedApp, path: string, options: ConnectOptions): Promise<UntypedConnection> {
  checkNames(options)
  checkPath(path)
  await rootOf(app).ready()
  const { settings, scope, hint } = routeAt(app.server, path)
  const { ip = '127.0.0.1', timeout = 4000, autoPong = true } = options
  const late = () => new WsTicketError('TIMEOUT', `The server did not answer within ${timeout} ms.`)
  const origin = originHeader(options, settings)
  const failures = new Failures()
  const peer = { ip, watcher: failures.watcher }
  const answered = <T>(request: string, answer: Promise<T>) =>
    within(answer, timeout, late).catch((error: WsTicketError) => {
      throw failures.explain(changed(error, joined(`${request}: ${error.message}`, hint)))
    })
  const issue = async (credentials: Credentials, body: object): Promise<string> => {
    const caller = await ticketHeaders(scope ?? app, credentials, settings.clock)
    failures.hide(caller)
    const headers = { ...origin, ...caller, 'content-type': 'application/json' }
    const posted = postInMemory(app.server, { path: ticketPath(path), headers, body, peer })
    const { ticket } = await answered(`POST ${ticketPath(path)}`, posted.then(readTicket))
    failures.hide({ ticket })
    return ticket
  }
  const offer = offerOf(path, await issue(options, {}), settings)
  const socket = openMemorySocket(app.server, { ...offer, headers: { ...origin, ...upgradeHeaders(options) }, peer, autoPong })
  const connection = new LiveTestConnection(socket, {
    timeout,
    failures,
    issueRefresh: (id, credentials) => issue(replaced(options, credentials), { refresh: id })
  })
  await answered(`The upgrade at ${path}`, untilOpen(socket))
  await connection.welcomed()
  return connection
}

const NAMES: Readonly<Record<keyof ConnectOptions, true>> = {
  user: true,
  token: true,
  headers: true,
  origin: true,
  ip: true,
  timeout: true,
  autoPong: true
}

/** Without, a test that misspells who connects is told that nobody did. */
function checkNames(options: object): void {
  const stray = Object.keys(options).find((name) => !Object.hasOwn(NAMES, name))
  if (stray !== undefined) throw misuse(`connect has no option '${stray}'; allowed: ${Object.keys(NAMES).join(', ')}.`)
}

/** Who is given takes the place of who was, whether as a user or by a token. */
function replaced(before: Credentials, { user, token, headers }: Credentials): Credentials {
  const isSame = user === undefined && token === undefined
  const who = isSame ? { ...before } : { ...(user && { user }), ...(token === undefined ? {} : { token }) }
  return { ...who, headers: { ...before.headers, ...headers } }
}

function originHeader({ origin }: ConnectOptions, { allowedOrigins }: Settings): Record<string, string> {
  const [first = null] = allowedOrigins
  const sent = origin === undefined ? first : origin
  return sent === null ? {} : { origin: sent }
}

/** Before the query, if any. */
function ticketPath(path: string): string {
  return path.replace(/\/?(?=\?|$)/, '/ticket')
}

/** How the ticket is carried: as a subprotocol, or in the query where the app takes it nowhere else. */
function offerOf(path: string, ticket: string, settings: Settings): { path: string; protocols: string[] } {
  if (settings.ticketInSubprotocol) return { path, protocols: [SUBPROTOCOL, TICKET_PROTOCOL_PREFIX + ticket] }
  return { path: `${path}${path.includes('?') ? '&' : '?'}ticket=${ticket}`, protocols: [SUBPROTOCOL] }
}
