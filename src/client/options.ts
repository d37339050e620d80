import type { BackoffSettings } from './backoff.js'
import { type ClientClock, systemClock } from './clock.js'

/** What the client needs of a WebSocket (WHATWG WebSockets). */
export interface WebSocketLike {
  onmessage: unknown
  onclose: unknown
  onerror: unknown
  send(text: string): void
  close(code?: number, reason?: string): void
}

/** A class of WebSockets: the one of browsers, Node 22, Deno and Bun, or that of `ws`, to which the third argument tells the origin. */
export type WebSocketClass = new (url: string, protocols: string[], options: { origin?: string }) => WebSocketLike

/** What the client needs of the answer to a ticket request. */
export interface TicketResponse {
  readonly ok: boolean
  readonly status: number
  readonly headers: { get(name: string): string | null }
  json(): Promise<unknown>
}

/** How a ticket is asked for. */
export interface TicketInit {
  method: string
  headers: Record<string, string>
  body: string
  signal: AbortSignal
}

/** A JWT; nothing where there is no user. */
export type Token = string | null | undefined

/** Options of a client, whatever its contract. Durations are in milliseconds. */
export interface BaseOptions {
  /** The address of the WebSocket route, `wss:` or `https:` (`ws:` or `http:`), or a path on the page's own host. */
  url: string
  /**
   * The JWT for the next ticket; asked before each attempt and each extension of the session. Null, undefined or '' when there is
   * no user: the client stops. With `refused: true` the server has just refused the token that was given: a new one, or null.
   * When it throws, the attempt is repeated later; what is no text, as an object that holds the JWT, ends the client.
   */
  token: (context: { refused: boolean }) => Token | Promise<Token>
  /** Told what listeners and `onOpen` throw. Default: thrown anew as an uncaught error. */
  onError?: (error: unknown) => void
  /** Default: the global one. On Node 20 give that of the package `ws`; a global one of later versions tells no `origin` by itself. */
  WebSocket?: WebSocketClass
  /** Replaces the global `fetch` for ticket requests. */
  fetch?: (url: string, init: TicketInit) => Promise<TicketResponse>
  /** The Origin that a program tells (with the WebSocket of `ws`); a browser tells its own. */
  origin?: string
  /** How long an attempt may take, from asking for the token to the welcome. Default: 10,000. */
  connectTimeout?: number
  /** How long a message may wait for its answer, in the queue included. Default: 30,000. */
  timeout?: number
  /** How many messages may wait for a connection. Default: 32, as many as a server takes at once by default. */
  queueLimit?: number
  /** The random pause between attempts is at most `min`, twice as much after each failure, never more than `max`. Default: 1,000 and 30,000. */
  backoff?: Partial<BackoffSettings>
  /** After so long without a frame the server is asked for one. Infinity: never. Default: 30,000. */
  heartbeat?: number
  /** How long that answer may take before the connection counts as dead. Default: 10,000. */
  heartbeatTimeout?: number
  /** For tests. */
  clock?: ClientClock
  /** From 0 to less than 1, for the jitter. Default: `Math.random`. */
  random?: () => number
}

/** The options with everything filled in. */
export interface ClientSettings extends Required<Omit<BaseOptions, 'url' | 'origin' | 'backoff'>> {
  readonly socketUrl: string
  readonly ticketUrl: string
  readonly origin: { origin?: string }
  readonly backoff: BackoffSettings
}

/** `onOpen` is no setting; it is here so that its name is known. */
type GivenOptions = BaseOptions & { readonly onOpen?: unknown }

/** @throws TypeError where an option is not what it must be, or there is none of its name */
export function parseOptions({ url, origin, clock = systemClock, backoff = {}, ...others }: GivenOptions): ClientSettings {
  const chosenOptions = chosen(others, {
    token: others.token,
    onOpen: Function.prototype,
    onError: throwUncaught,
    WebSocket: Object(globalThis).WebSocket,
    fetch: globalThis.fetch.bind(globalThis),
    random: Math.random,
    connectTimeout: 10_000,
    timeout: 30_000,
    queueLimit: 32,
    heartbeat: 30_000,
    heartbeatTimeout: 10_000
  })
  return {
    ...chosenOptions,
    ...addresses(url),
    origin: origin ? { origin } : {},
    backoff: chosen(backoff, { min: 1000, max: 30_000 }),
    clock
  }
}

/** The defaults, and what is given instead of them, which is a number where the default is one, or else a function. */
function chosen<T extends object>(given: object, values: T): T {
  for (const name in given) if (!Object.hasOwn(values, name)) throw wrong(name, 'is no option')
  for (const name in values) {
    const isNumber = typeof values[name] === 'number'
    const value: unknown = Reflect.get(given, name) ?? values[name]
    const needed = name === 'WebSocket' ? 'class, as in ws' : isNumber ? 'number >= 0' : 'function'
    const isRight = isNumber ? typeof value === 'number' && value >= 0 : typeof value === 'function'
    if (!isRight) throw wrong(name, `must be a ${needed}`)
    Reflect.set(values, name, value)
  }
  return values
}

function wrong(name: string, fault: string): TypeError {
  return new TypeError(`\`${name}\` ${fault}.`)
}

function addresses(url: string): { socketUrl: string; ticketUrl: string } {
  try {
    // where there is a page, its address is the base
    const { href } = new URL(url, Object(globalThis).location?.href)
    const socketUrl = href.replace(/^http/, 'ws').replace(/#.*/, '')
    const ticketUrl = socketUrl.replace('ws', 'http').replace(/\/?(\?|$)/, '/ticket$1')
    if (url && /^wss?:/.test(socketUrl)) return { socketUrl, ticketUrl }
  } catch {
    // it is told below
  }
  throw wrong('url', 'must be an http or ws address, or a path on a page')
}

function throwUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}
