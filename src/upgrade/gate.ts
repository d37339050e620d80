import { IncomingMessage, type Server, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyBaseLogger } from 'fastify'
import type { Clock } from '../clock.js'
import { entryOf, fail, type TicketError } from '../errors.js'
import { channels, type HandshakeEvent } from '../metrics/events.js'
import { Tally } from '../metrics/tally.js'
import { handBack } from './hand-back.js'
import { findHandshakeFault, Handshake, isUpgrade, mentionsWebSocket } from './handshake.js'
import { completeInjected } from './injected.js'
import { refuseSocket } from './refusal.js'

const ROUND_MS = 250

export interface GateSettings {
  readonly maxPendingHandshakes: number
  readonly handshakeTimeoutMs: number
  readonly maxHeaders: number
}

type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/**
 * Owns the sockets of a server's upgrades from the first event, since after it none of Node's own timeouts holds.
 * Each is refused, or handed on to the listeners that were there (among them that of @fastify/websocket); one that is
 * neither answered nor opened in time is answered 503, and destroyed.
 */
export class UpgradeGate {
  readonly #server: Server
  readonly #clock: Clock
  readonly #log: FastifyBaseLogger
  #settings: GateSettings
  #listeners: UpgradeListener[] = []
  #ownersDecision: (request: IncomingMessage) => boolean = () => true
  #isClosing = false
  #stopRounds: (() => void) | undefined
  readonly #pending = new Set<Handshake>()
  /** Handshakes that were over before a route answered them. */
  readonly #ended = new Tally()
  readonly #byRequest = new WeakMap<IncomingMessage, Handshake>()

  constructor(server: Server, clock: Clock, settings: GateSettings, log: FastifyBaseLogger) {
    this.#server = server
    this.#clock = clock
    this.#log = log
    this.#settings = settings
  }

  get pending(): number {
    return this.#pending.size
  }

  /** How many handshakes were over before a route answered them: `abandoned` by the client, or refused, by code. */
  get ended(): Readonly<Record<string, number>> {
    return this.#ended.snapshot()
  }

  /** Takes smaller limits over; a server has one gate, whose limits are the smallest that were asked for. */
  tighten(settings: GateSettings): void {
    this.#settings = {
      maxPendingHandshakes: Math.min(this.#settings.maxPendingHandshakes, settings.maxPendingHandshakes),
      handshakeTimeoutMs: Math.min(this.#settings.handshakeTimeoutMs, settings.handshakeTimeoutMs),
      maxHeaders: Math.min(this.#settings.maxHeaders, settings.maxHeaders)
    }
  }

  /** Steps in front of all listeners for upgrades that the server has by now. */
  takeOver(): void {
    const listeners = this.#server.listeners('upgrade').filter((listener) => listener !== this.#onUpgrade)
    for (const listener of listeners) {
      const upgradeListener: UpgradeListener = (...event) => Reflect.apply(listener, this.#server, event)
      this.#listeners.push(upgradeListener)
    }
    this.#server.removeAllListeners('upgrade')
    this.#server.on('upgrade', this.#onUpgrade)
    this.#decideUpgrades()
  }

  /** The handshake of a request that is still under way; undefined for every other request. */
  handshakeOf(request: IncomingMessage): Handshake | undefined {
    const handshake = this.#byRequest.get(request)
    return handshake?.isPending ? handshake : undefined
  }

  /** The socket is somebody else's from now on; what the handshake has not handed over is given back. */
  settle(handshake: Handshake): void {
    handshake.state = 'settled'
    this.#forget(handshake)
    handshake.release()
  }

  /** From now on every upgrade is refused, those under way included, or the server could not close before they are due. */
  close(): void {
    this.#isClosing = true
    for (const handshake of this.#pending) {
      this.#review(handshake)
      if (handshake.isPending) this.#refuse(handshake, closing())
    }
  }

  /** Ends what is still under way. */
  end(): void {
    for (const { socket } of this.#pending) socket.destroy()
    this.#stopRounds?.()
    this.#stopRounds = undefined
  }

  /** Node 22.21, 24.9 and later ask the server what to take for an upgrade; what its owner says to that still holds. */
  #decideUpgrades(): void {
    const before: unknown = Reflect.get(this.#server, 'shouldUpgradeCallback')
    if (before === this.#shouldUpgrade) return
    if (typeof before === 'function') this.#ownersDecision = (request) => Boolean(Reflect.apply(before, this.#server, [request]))
    Reflect.set(this.#server, 'shouldUpgradeCallback', this.#shouldUpgrade)
  }

  readonly #shouldUpgrade = (request: IncomingMessage): boolean => isUpgrade(request) && this.#ownersDecision(request)

  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (!(request instanceof IncomingMessage)) completeInjected(request, socket)
    if (owesResponse(request)) return this.#drop(request, socket)
    const handshake = this.#begin(request, socket)
    const refusal = this.#findRefusal(request)
    if (refusal) return this.#refuse(handshake, refusal)
    if (!mentionsWebSocket(request)) {
      this.settle(handshake)
      return handBack(this.#server, request, socket, head)
    }
    this.#handOn(request, socket, head)
    this.#review(handshake)
  }

  /** Nothing can be answered here; a line for each is what nobody wants who is knocked at, so it is for debugging. */
  #drop(request: IncomingMessage, socket: Duplex): void {
    const { code, message } = entryOf('UPGRADE_TOO_EARLY')
    this.#log.debug({ code, remoteAddress: request.socket.remoteAddress }, message)
    this.#tell(code)
    socket.destroy()
  }

  #findRefusal(request: IncomingMessage): TicketError | undefined {
    if (this.#isClosing) return closing()
    if (this.#pending.size > this.#settings.maxPendingHandshakes) return fail('UNAVAILABLE', [], { retryAfterMs: 1000 })
    const fault = findHandshakeFault(request, this.#maxHeaders())
    return fault?.statusCode === 431 || mentionsWebSocket(request) ? fault : undefined
  }

  /** Node cuts the list of headers at its own limit, so that one may be missing from a list that long. */
  #maxHeaders(): number {
    const { maxHeadersCount } = this.#server
    return Math.min(this.#settings.maxHeaders, maxHeadersCount ? maxHeadersCount - 1 : Number.POSITIVE_INFINITY)
  }

  #begin(request: IncomingMessage, socket: Duplex): Handshake {
    const handshake = new Handshake(request, socket, this.#clock.now(), this.#closed)
    this.#pending.add(handshake)
    this.#byRequest.set(request, handshake)
    this.#stopRounds ??= this.#clock.every(ROUND_MS, this.#round)
    return handshake
  }

  /** Whoever takes a socket listens for its errors, as Node has taken its own listener off. One may take it. */
  #handOn(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const listening = socket.listenerCount('error')
    const { httpVersionMinor } = request
    // a response that is made for HTTP/1.0 says Connection: close, whoever refuses
    request.httpVersionMinor = 0
    this.#listeners.some((listener) => {
      listener(request, socket, head)
      return socket.listenerCount('error') > listening
    })
    request.httpVersionMinor = httpVersionMinor
  }

  #refuse(handshake: Handshake, error: TicketError): void {
    handshake.state = 'refused'
    refuseSocket(handshake.socket, error)
    this.#tell(error.code)
  }

  /** Who reads from the socket has taken it over; what is answered otherwise is a refusal, and over. */
  #review(handshake: Handshake): void {
    const { socket } = handshake
    if (handshake.reader) return this.settle(handshake)
    if (handshake.isPending && handshake.isAnswered) {
      handshake.state = 'refused'
      socket.end(() => socket.destroy())
    }
  }

  readonly #round = (): void => {
    const dueBefore = this.#clock.now() - this.#settings.handshakeTimeoutMs
    for (const handshake of this.#pending) {
      const wasRefused = handshake.state === 'refused'
      this.#review(handshake)
      if (handshake.startedAt > dueBefore) continue
      if (wasRefused) handshake.socket.destroy()
      if (handshake.state === 'pending') this.#refuse(handshake, fail('UNAVAILABLE', [], { retryAfterMs: 1000 }))
    }
  }

  #tell(outcome: string): void {
    this.#ended.add(outcome)
    const event: HandshakeEvent = { source: undefined, route: undefined, outcome }
    channels.handshake.publish(event)
  }

  readonly #closed = (handshake: Handshake): void => {
    if (handshake.state === 'pending' && !handshake.isAnswered) this.#tell('abandoned')
    this.#forget(handshake)
    handshake.release()
  }

  #forget(handshake: Handshake): void {
    handshake.leaveSocket()
    this.#pending.delete(handshake)
    this.#byRequest.delete(handshake.request)
    if (this.#pending.size > 0) return
    this.#stopRounds?.()
    this.#stopRounds = undefined
  }
}

/** Answers nothing; a socket that owes a response does not take it. */
const probe = new ServerResponse(new IncomingMessage(new Socket()))

/**
 * Is an earlier request on this connection still unanswered? Nothing may be written before its answer, and no honest
 * client sends an upgrade by then: it would not know which protocol the next bytes are in (RFC 9112, section 9.3.2).
 */
function owesResponse(request: IncomingMessage): boolean {
  try {
    Reflect.apply(probe.assignSocket, probe, [request.socket])
    Reflect.apply(probe.detachSocket, probe, [request.socket])
    return false
  } catch {
    return true
  }
}

function closing(): TicketError {
  return fail('CLOSING', [], { retryAfterMs: 1000 })
}

const gates = new WeakMap<Server, UpgradeGate>()

/** The gate of a server; it has one, however often the plugin is registered. */
export function gateOf(server: Server, clock: Clock, settings: GateSettings, log: FastifyBaseLogger): UpgradeGate {
  const known = gates.get(server)
  if (known) {
    known.tighten(settings)
    return known
  }
  const gate = new UpgradeGate(server, clock, settings, log)
  gates.set(server, gate)
  return gate
}
