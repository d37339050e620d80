import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { fail, type TicketError } from '../errors.js'
import { SUBPROTOCOL, TICKET_PROTOCOL_PREFIX } from '../protocol.js'
import { isTicketFormat } from '../ticket/ticket.js'
import type { Reader } from '../wire/inlet.js'

/** `refused`: answered or given up; `settled`: the socket is somebody's WebSocket. */
type HandshakeState = 'pending' | 'refused' | 'settled'

/** One upgrade, from the first event to the 101 or the refusal. */
export class Handshake {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly startedAt: number
  /** The tickets that were offered as subprotocols; taken out of the request, so that nothing can echo or log them. */
  readonly offeredTickets: readonly string[]
  /** Are the subprotocols that were offered different tokens (RFC 6455, section 4.1)? */
  readonly isOfferSound: boolean
  /** The ticket to redeem, once its form is checked. */
  ticket = ''
  state: HandshakeState = 'pending'
  #releases: (() => void)[] = []
  #isOver = false
  /** On a connection that is kept alive others were answered before. */
  readonly #bytesBefore: number
  /** Who reads from the socket already, as an app may want to see its bytes. */
  readonly #readersBefore: ReadonlySet<unknown>
  readonly #onClosed: () => void

  /** Guards the socket until it is left: an error or the peer's FIN destroys it, and its end is told once. */
  constructor(request: IncomingMessage, socket: Duplex, startedAt: number, onClosed: (handshake: Handshake) => void) {
    this.request = request
    this.socket = socket
    this.startedAt = startedAt
    this.#bytesBefore = bytesWritten(socket)
    this.#readersBefore = new Set(readersOf(socket))
    this.#onClosed = () => onClosed(this)
    socket.on('error', destroy)
    socket.on('end', destroy)
    socket.on('close', this.#onClosed)
    const offered = offeredProtocols(request)
    this.isOfferSound = offered.every((name) => TOKEN_FORMAT.test(name)) && new Set(offered).size === offered.length
    this.offeredTickets = takeTickets(request, offered)
  }

  get isPending(): boolean {
    return this.state === 'pending' && !this.socket.destroyed
  }

  /** Was anything sent on the socket since? */
  get isAnswered(): boolean {
    return bytesWritten(this.socket) > this.#bytesBefore
  }

  /** The listener of whoever has taken the socket, and so reads from it. */
  get reader(): Reader | undefined {
    return readersOf(this.socket).find((reader): reader is Reader => !this.#readersBefore.has(reader))
  }

  leaveSocket(): void {
    this.socket.removeListener('error', destroy)
    this.socket.removeListener('end', destroy)
    this.socket.removeListener('close', this.#onClosed)
  }

  /** Something that the handshake holds until its socket is closed; what comes after that is given back at once. */
  hold(release: () => void): void {
    if (this.#isOver) release()
    else this.#releases.push(release)
  }

  /** Ends it: gives back what is held. */
  release(): void {
    this.#isOver = true
    this.handOver()()
  }

  /** Hands what is held over: the answer gives it back, and holds on to nothing of the request. */
  handOver(): () => void {
    const releases = this.#releases
    this.#releases = []
    return () => {
      for (const release of releases) release()
    }
  }
}

function readersOf(socket: Duplex): unknown[] {
  return [...socket.listeners('data'), ...socket.listeners('readable')]
}

/** Is this an upgrade to WebSocket and to nothing else? */
export function asksForWebSocket(request: IncomingMessage): boolean {
  return upgradeHeader(request) === 'websocket'
}

/** Does this upgrade name WebSocket at all? */
export function mentionsWebSocket(request: IncomingMessage): boolean {
  return /\bwebsocket\b/.test(upgradeHeader(request))
}

/**
 * Is this to be taken for an upgrade at all? What asks for something else and has a body is not: Node 26 reads the body of an
 * upgrade itself, so that it could not be handed back with it.
 */
export function isUpgrade(request: IncomingMessage): boolean {
  return mentionsWebSocket(request) || !hasBody(request)
}

/**
 * What is wrong with a request as a WebSocket handshake, before any route is looked for.
 */
export function findHandshakeFault(request: IncomingMessage, maxHeaders: number): TicketError | undefined {
  const { method, httpVersion } = request
  if (countHeaders(request) > maxHeaders) return fail('TOO_MANY_HEADERS', [maxHeaders])
  // Fastify would tell the sender the whole address, a ticket in it included
  if (isMalformed(request.url)) return fail('BAD_HANDSHAKE', ['the address is malformed'])
  if (!namesOneHost(request)) return fail('BAD_HANDSHAKE', ['it does not name one Host'])
  if (method !== 'GET') return fail('BAD_HANDSHAKE', ['the method is not GET'])
  if (httpVersion !== '1.1') return fail('BAD_HANDSHAKE', ['the HTTP version is not 1.1'])
  if (!asksForWebSocket(request)) return fail('BAD_HANDSHAKE', ["the Upgrade header is not 'websocket'"])
  return hasBody(request) ? fail('BAD_HANDSHAKE', ['it has a body']) : undefined
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0
}

const KEY_FORMAT = /^[+/0-9A-Za-z]{22}==$/

/**
 * Checks version and key of a handshake on a route of ours.
 * @throws FST_WS_TICKET_UPGRADE_REQUIRED, FST_WS_TICKET_BAD_HANDSHAKE
 */
export function checkVersionAndKey({ headers }: IncomingMessage): void {
  if (String(headers['sec-websocket-version']) !== '13') {
    throw fail('UPGRADE_REQUIRED', [], { headers: { upgrade: 'websocket', 'sec-websocket-version': '13' } })
  }
  if (!KEY_FORMAT.test(String(headers['sec-websocket-key']))) throw fail('BAD_HANDSHAKE', ['Sec-WebSocket-Key is not 16 bytes of base64'])
}

/** There is one: Node takes a request for an upgrade by it. */
function upgradeHeader({ headers }: IncomingMessage): string {
  return String(headers.upgrade).toLowerCase()
}

/** `uri-host [":" port]` (RFC 9110, section 7.2), which may be empty. */
const HOST_FORMAT = /^(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d*)?$/i

/** Node demands a Host of requests, but not of upgrades, and keeps the first of several (RFC 9112, section 3.2). */
function namesOneHost({ rawHeaders, headers }: IncomingMessage): boolean {
  const hosts = rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === 'host')
  return hosts.length === 1 && HOST_FORMAT.test(String(headers.host))
}

function isMalformed(url = ''): boolean {
  const [path = ''] = url.split(/[?#;]/, 1)
  try {
    decodeURI(path)
    return false
  } catch {
    return true
  }
}

/** Node joins a header that comes more than once; `rawHeaders` is what came. */
function countHeaders({ rawHeaders }: IncomingMessage): number {
  return rawHeaders.length / 2
}

/** RFC 9110, section 5.6.2. */
const TOKEN_FORMAT = /^[!#$%&'*+.^`|~\w-]+$/

/** Empty ones are to be passed over (RFC 9110, section 5.6.1). */
function offeredProtocols({ headers }: IncomingMessage): string[] {
  const names = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.replaceAll(/^[ \t]+|[ \t]+$/g, ''))
  return names.filter((name) => name !== '')
}

function takeTickets(request: IncomingMessage, offered: string[]): string[] {
  const isOurs = offered.includes(SUBPROTOCOL)
  const tickets = offered.filter((name) => isTicketProtocol(name, isOurs))
  if (tickets.length === 0) return []
  const kept = isOurs ? SUBPROTOCOL : offered.filter((name) => !tickets.includes(name)).join(', ')
  request.headers['sec-websocket-protocol'] = kept
  redactRawHeaders(request.rawHeaders, kept)
  return tickets.map((name) => name.slice(TICKET_PROTOCOL_PREFIX.length))
}

/** Beside our subprotocol anything that claims to be a ticket is one; by itself only what looks like one. */
function isTicketProtocol(name: string, isOurs: boolean): boolean {
  return name.startsWith(TICKET_PROTOCOL_PREFIX) && (isOurs || isTicketFormat(name.slice(TICKET_PROTOCOL_PREFIX.length)))
}

function redactRawHeaders(rawHeaders: string[], kept: string): void {
  const names = rawHeaders.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : ''))
  for (const [index, name] of names.entries()) {
    if (name === 'sec-websocket-protocol') rawHeaders[index + 1] = kept
  }
}

function destroy(this: Duplex): void {
  this.destroy()
}

/** How much was sent; a socket that is not the network's does not say. */
function bytesWritten(socket: Duplex): number {
  return 'bytesWritten' in socket && typeof socket.bytesWritten === 'number' ? socket.bytesWritten : 0
}
