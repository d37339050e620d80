import type { FastifyBaseLogger } from 'fastify'
import type { WebSocket } from 'ws'
import { escapeControls } from '../escape.js'
import { logFailure } from '../log-failure.js'
import type { MessageCall } from '../message/call.js'
import type { LimitedConnection } from '../message/limit.js'
import type { Pipeline } from '../message/pipeline.js'
import { CloseCode, encodeExpiring, encodeWelcome } from '../protocol.js'
import { checkTopic } from '../publish/topics.js'
import type { User } from '../user.js'
import type { Wire } from '../wire/inlet.js'
import { Outlet, type OutletOwner } from '../wire/outlet.js'
import { SharedFrame } from '../wire/shared-frame.js'
import type { Admission } from './admission.js'
import { checkCloseCode, isAbuse } from './close.js'
import type { Connection } from './connection.js'
import type { ConnectionHost } from './host.js'
import { LifeCycle } from './life-cycle.js'
import { Peer } from './peer.js'
import { Session } from './session.js'

const DONE = Promise.resolve()
/** As much as `maxBuffered` may wait; so many times as much for a while, as one turn may have more for a peer that reads well. */
const MAX_BURST = 2
const NO_TOPICS: ReadonlySet<string> = new Set()

/**
 * One connection from the 101 to the last frame, as the app, its route and what is published see it. Its state is the matter of
 * {@link LifeCycle}, what comes from its client that of {@link Peer}.
 */
export class LiveConnection implements Connection, LimitedConnection, OutletOwner {
  readonly id: string
  readonly userId: string
  readonly params: unknown
  readonly path: string
  readonly origin: string | null
  readonly ip: string
  readonly ipKey: string
  readonly #host: ConnectionHost
  readonly #outlet: Outlet
  readonly #life: LifeCycle
  readonly #peer: Peer
  readonly #session: Session
  readonly #release: () => void
  #user: User
  #context: unknown
  #buckets: number[] | undefined
  #topics: Set<string> | undefined
  #pipeline: Pipeline<MessageCall> | undefined
  #log: FastifyBaseLogger | undefined
  #abort: AbortController | undefined

  constructor(host: ConnectionHost, socket: WebSocket, wire: Wire, admission: Admission) {
    this.#host = host
    this.id = admission.id
    this.userId = admission.userId
    this.params = admission.params
    this.path = admission.path
    this.origin = admission.origin
    this.ip = admission.ip
    this.ipKey = admission.ipKey
    this.#user = admission.user
    this.#context = admission.context
    this.#release = admission.release
    this.#session = new Session(host.clock, host.settings, admission.authenticatedUntil)
    const outlet = new Outlet(socket, wire.transport, this)
    const life = new LifeCycle(this, host, socket, outlet)
    this.#outlet = outlet
    this.#life = life
    this.#peer = new Peer(this, host, { socket, wire, outlet, life })
  }

  get user(): User {
    return this.#user
  }

  get context(): unknown {
    return this.#context
  }

  /** All that went over its socket. */
  get bytes(): { readonly received: number; readonly sent: number } {
    return this.#outlet.bytes
  }

  get topics(): ReadonlySet<string> {
    return this.#topics ?? NO_TOPICS
  }

  get expiresAt(): number {
    return this.#session.expiresAt
  }

  get log(): FastifyBaseLogger {
    this.#log ??= this.#host.log.child({ connection: this.id, route: this.#host.id, user: escapeControls(this.userId) })
    return this.#log
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.isEnding) this.#abort.abort()
    return this.#abort.signal
  }

  get buckets(): number[] {
    this.#buckets ??= []
    return this.#buckets
  }

  get pipeline(): Pipeline<MessageCall> {
    this.#pipeline ??= this.#host.createPipeline()
    return this.#pipeline
  }

  /** Is none of its messages being handled? */
  get isIdle(): boolean {
    return this.#pipeline === undefined || this.#pipeline.isIdle
  }

  /** Is it closed, or about to be? Then nothing is sent any more. */
  get isEnding(): boolean {
    return this.#life.isEnding
  }

  /** Greets the client and lets the app prepare; no frame is handled until that is done. */
  open(): void {
    // together with the 101, which is still held back
    this.write(encodeWelcome(this.id, this.expiresAt))
    this.#life.open(this.#peer)
  }

  send(event: string, payload: unknown): boolean {
    return this.share(new SharedFrame(this.#host.encodeEvent(event, payload)))
  }

  /** Sends a frame; false when the connection is not there for it any more. */
  write(frame: string): boolean {
    if (!this.#isReady()) return false
    this.#outlet.write(frame)
    return true
  }

  /** Sends a frame that others get as well; false when the connection is not there for it any more. */
  share(frame: SharedFrame): boolean {
    if (!this.#isReady()) return false
    this.#outlet.share(frame)
    return true
  }

  subscribe(topic: string): Promise<void> {
    checkTopic(topic)
    if (this.isEnding) return DONE
    this.#topics ??= new Set()
    this.#topics.add(topic)
    return this.#host.subscribed(topic, this)
  }

  unsubscribe(topic: string): void {
    this.#topics?.delete(topic)
    this.#host.unsubscribed(topic, this)
  }

  close(code: number = CloseCode.normal, reason = ''): void {
    this.#life.close(checkCloseCode(code), reason)
  }

  /** Closes with any code of the protocol; the peer has `closeTimeoutMs` to answer. */
  end(code: number, reason: string): void {
    if (!this.isEnding) this.#tellAbuse(code, reason)
    this.#life.close(code, reason)
  }

  /** From the peer: its socket has closed by itself, and sent this code. */
  endedBySocket(code: number, reason: string): void {
    if (this.#life.closedBySocket(code, reason)) this.#tellAbuse(code, reason)
  }

  #tellAbuse(code: number, reason: string): void {
    if (isAbuse(code)) this.log.info({ closeCode: code, reason }, 'a connection is closed for what its client did')
  }

  /** Closes after what is being handled is answered, at the latest after `closeTimeoutMs`. */
  drain(code: number, reason: string): void {
    if (this.isEnding) return
    this.#pipeline?.clear()
    this.#life.drain(code, reason)
  }

  /** The session of a new ticket takes the place of the old one. */
  refresh(admission: Pick<Admission, 'user' | 'context' | 'authenticatedUntil'>): void {
    this.#user = admission.user
    this.#context = admission.context
    this.#session.renew(admission.authenticatedUntil)
  }

  /** Does what is due. */
  tick(now: number): void {
    if (this.isEnding) return this.#life.tickEnding(now)
    this.#pipeline?.expire(now)
    if (this.#life.isDraining) return this.#life.tickDraining(now)
    if (this.#outlet.isStuckBehindBy(this.#host.settings.maxBuffered, now)) return this.#endAsSlow()
    this.#tickSession(now)
    this.#life.tickOpening(now)
    if (this.#life.isOpen) this.#peer.tick(now)
  }

  isInSession(now: number): boolean {
    if (!this.#session.isExpired(now)) return true
    this.end(CloseCode.sessionExpired, 'session expired')
    return false
  }

  /** Does more wait for its peer than any burst excuses? Closes it then. */
  endIfSlow(): boolean {
    if (!this.#outlet.isBehindBy(MAX_BURST * this.#host.settings.maxBuffered)) return false
    this.#endAsSlow()
    return true
  }

  /** From the outlet: the transport has thrown. It may have lost a part of a frame, so nothing can follow. */
  writeFailed(error: unknown): void {
    this.#life.terminate()
    logFailure(this.log, error, 'a connection could not be written to')
  }

  /** From the socket: it is closed. */
  closed(code: number, reason: string): void {
    this.#release()
    this.stop()
    this.#life.closed(code, reason)
  }

  /** It is ending, whoever has begun it. The one place where what goes on for the client is given up. */
  stop(): void {
    for (const topic of this.topics) this.#host.unsubscribed(topic, this)
    this.#topics = undefined
    this.#pipeline?.clear()
    this.#abort?.abort()
  }

  #endAsSlow(): void {
    this.end(CloseCode.slowConsumer, 'too slow a reader')
  }

  #tickSession(now: number): void {
    const event = this.#session.takeEvent(now)
    if (event === 'expired') this.end(CloseCode.sessionExpired, 'session expired')
    if (event === 'notice') this.write(encodeExpiring(this.expiresAt))
  }

  /** May it be written to? */
  #isReady(): boolean {
    if (this.isEnding) return false
    return this.#outlet.isHolding || !this.endIfSlow()
  }
}
