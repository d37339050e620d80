import type { FastifyBaseLogger } from 'fastify'
import type { WebSocket } from 'ws'
import { fail } from '../errors.js'
import { escapeControls } from '../escape.js'
import { logFailure } from '../log-failure.js'
import type { MessageCall } from '../message/call.js'
import type { LimitedConnection } from '../message/limit.js'
import type { Pipeline } from '../message/pipeline.js'
import { isPromiseLike } from '../promise-like.js'
import { CloseCode, encodeExpiring, encodeWelcome } from '../protocol.js'
import { checkTopic } from '../publish/topics.js'
import type { User } from '../user.js'
import { Inlet, type InletOwner, type Wire } from '../wire/inlet.js'
import { Outlet, type OutletOwner } from '../wire/outlet.js'
import { SharedFrame } from '../wire/shared-frame.js'
import type { Admission } from './admission.js'
import { checkCloseCode, fitReason, isAbuse } from './close.js'
import type { Connection } from './connection.js'
import { Heartbeat } from './heartbeat.js'
import type { ConnectionHost } from './host.js'
import { Session } from './session.js'

/** `draining` finishes what runs and takes nothing new; `closing` waits for the peer's close frame. */
type State = 'opening' | 'open' | 'draining' | 'closing' | 'closed'

const DONE = Promise.resolve()
const NO_TOPICS: ReadonlySet<string> = new Set()

/** One connection from the 101 to the last frame. */
export class LiveConnection implements Connection, LimitedConnection, InletOwner, OutletOwner {
  readonly id: string
  readonly userId: string
  readonly params: unknown
  readonly path: string
  readonly origin: string | null
  readonly ip: string
  readonly ipKey: string
  readonly #host: ConnectionHost
  readonly #socket: WebSocket
  readonly #inlet: Inlet
  readonly #outlet: Outlet
  readonly #release: () => void
  readonly #session: Session
  readonly #heartbeat: Heartbeat
  #user: User
  #context: unknown
  #state: State = 'opening'
  /** When the present state is given up: opening, draining or closing. */
  #stateDueAt: number
  #lastMessageAt: number
  /** What our own close frame says; 0 where the peer closes. */
  #closeCode = 0
  #closeReason = ''
  #buckets: number[] | undefined
  #topics: Set<string> | undefined
  #pipeline: Pipeline<MessageCall> | undefined
  #log: FastifyBaseLogger | undefined
  #abort: AbortController | undefined

  constructor(host: ConnectionHost, socket: WebSocket, wire: Wire, admission: Admission) {
    const now = host.clock.now()
    this.#host = host
    this.#socket = socket
    this.#inlet = new Inlet(socket, wire, this, host.settings.maxPayload, host.clock)
    this.#outlet = new Outlet(socket, wire.transport, this)
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
    this.#heartbeat = new Heartbeat(host.settings, now)
    this.#stateDueAt = now + host.settings.handlerTimeoutMs
    this.#lastMessageAt = now
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

  /** Is it closed, or about to be? Then nothing is sent any more. */
  get isEnding(): boolean {
    return this.#state === 'closing' || this.#state === 'closed' || this.#isPeerLeaving()
  }

  /** Greets the client and lets the app prepare; no frame is handled until that is done. */
  open(): void {
    // together with the 101, which is still held back
    this.write(encodeWelcome(this.id, this.expiresAt))
    try {
      const opened = this.#host.opened(this)
      if (isPromiseLike(opened)) this.#awaitOpened(opened)
      else this.#openDone()
    } catch (error) {
      this.#openFailed(error)
    }
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
    this.#end(checkCloseCode(code), reason)
  }

  /** Closes with any code of the protocol; the peer has `closeTimeoutMs` to answer. */
  end(code: number, reason: string): void {
    if (!this.isEnding && isAbuse(code)) this.log.info({ closeCode: code, reason }, 'a connection is closed for what its client did')
    this.#end(code, reason)
  }

  /** Closes after what is being handled is answered, at the latest after `closeTimeoutMs`. */
  drain(code: number, reason: string): void {
    if (this.isEnding) return
    this.#closeCode = code
    this.#closeReason = reason
    this.#pipeline?.clear()
    this.#enter('draining')
    this.#endIfDrained(this.#host.clock.now())
  }

  /** The session of a new ticket takes the place of the old one. */
  refresh(admission: Pick<Admission, 'user' | 'context' | 'authenticatedUntil'>): void {
    this.#user = admission.user
    this.#context = admission.context
    this.#session.renew(admission.authenticatedUntil)
  }

  /** Does what is due. `ping` is the data for a ping in this round. */
  tick(now: number, ping: Buffer): void {
    if (this.#state === 'closing') return this.#terminateIfOverdue(now)
    if (this.#isPeerLeaving()) return this.#startClosing()
    this.#pipeline?.expire(now)
    if (this.#state === 'draining') return this.#endIfDrained(now)
    if (this.#isSlow()) return this.end(CloseCode.slowConsumer, 'too slow a reader')
    this.#tickSession(now)
    if (this.#state === 'opening') return this.#tickOpening(now)
    if (this.#state === 'open') this.#tickPeer(now, ping)
  }

  isInSession(now = this.#host.clock.now()): boolean {
    if (!this.#session.isExpired(now)) return true
    this.end(CloseCode.sessionExpired, 'session expired')
    return false
  }

  /** From the inlet: a message. */
  receivedText(text: string): void {
    const now = this.#host.clock.now()
    if (this.#isAcceptable(now)) this.#host.receive(this, text, now)
  }

  /** From the socket: a message that the inlet has left to it. */
  received(data: Buffer, isBinary: boolean): void {
    this.#inlet.told()
    const now = this.#host.clock.now()
    if (this.isEnding || !this.#isAcceptable(now)) return
    if (isBinary) return this.end(CloseCode.unsupportedData, 'binary frames are not accepted')
    if (data.length > this.#host.settings.maxPayload) return this.end(CloseCode.messageTooBig, 'message too big')
    this.#host.receive(this, data.toString(), now)
  }

  /** From the inlet: the socket is about to read. */
  followed(extraFrames: number, messageBytes: number, now: number): void {
    if (extraFrames > 0) this.#outlet.cork()
    // an error that the socket has found in these bytes comes first, and it tells in a later turn
    if (this.#areTooMany(extraFrames, now)) setImmediate(() => this.end(CloseCode.limitsExceeded, 'too many frames that are no message'))
    if (messageBytes > this.#host.settings.maxPayload) setImmediate(() => this.#stopReading())
  }

  /** From the socket: a ping, which it has answered. */
  pinged(): void {
    this.#inlet.told()
    if (this.#isSlow()) this.end(CloseCode.slowConsumer, 'too slow a reader')
  }

  /** From the socket: a pong. */
  ponged(data: Buffer): void {
    this.#inlet.told()
    this.#heartbeat.ponged(data)
  }

  /** From the outlet: the transport has thrown. It may have lost a part of a frame, so nothing can follow. */
  writeFailed(error: unknown): void {
    this.#socket.terminate()
    logFailure(this.log, error, 'a connection could not be written to')
  }

  /** From the socket: it is closed. The one place where everything is given back. */
  closed(code: number, reason: string): void {
    this.#state = 'closed'
    this.#leaveTopics()
    this.#pipeline?.clear()
    this.#release()
    this.#abort?.abort()
    if (this.#closeCode === 0) this.#host.closed(this, code, escapeControls(reason), 'client')
    else this.#host.closed(this, this.#closeCode, this.#closeReason, 'server')
  }

  #end(code: number, reason: string): void {
    if (this.isEnding) return
    this.#closeCode = code
    this.#closeReason = fitReason(reason)
    this.#startClosing()
    // a paused socket would not see the peer's close frame
    this.#socket.resume()
    this.#outlet.release()
    this.#socket.close(code, this.#closeReason)
  }

  /** Is a message to be handled that comes now? The round may be late; nothing is handled after the session's end all the same. */
  #isAcceptable(now: number): boolean {
    if (this.#state !== 'open' || !this.isInSession(now)) return false
    this.#lastMessageAt = now
    return true
  }

  #areTooMany(extraFrames: number, now: number): boolean {
    for (let left = extraFrames; left > 0; left--) {
      if (this.#host.frameLimit.take(this, now) > 0) return true
    }
    return false
  }

  /** More is declared than is taken: nothing of it goes into memory, nor whatever comes after. */
  #stopReading(): void {
    if (this.isEnding) return
    this.end(CloseCode.messageTooBig, 'message too big')
    this.#socket.pause()
  }

  #awaitOpened(opened: PromiseLike<unknown>): void {
    this.#socket.pause()
    // what claims to be a promise may throw where a promise rejects
    Promise.resolve(opened).then(
      () => this.#openDone(),
      (error) => this.#openFailed(error)
    )
  }

  #openDone(): void {
    if (this.#state !== 'opening') return
    this.#state = 'open'
    // nothing was read until now
    this.#lastMessageAt = this.#host.clock.now()
    this.#inlet.excuse(this.#lastMessageAt)
    this.#socket.resume()
  }

  #openFailed(error: unknown): void {
    if (this.#state !== 'opening') return
    logFailure(this.log, error, 'the connection could not be opened')
    this.end(CloseCode.internalError, 'internal error')
  }

  #enter(state: 'draining' | 'closing'): void {
    this.#state = state
    this.#stateDueAt = this.#host.clock.now() + this.#host.settings.closeTimeoutMs
  }

  #startClosing(): void {
    this.#enter('closing')
    this.#leaveTopics()
    this.#pipeline?.clear()
    this.#abort?.abort()
  }

  #terminateIfOverdue(now: number): void {
    if (now >= this.#stateDueAt) this.#socket.terminate()
  }

  #endIfDrained(now: number): void {
    const isIdle = this.#pipeline === undefined || this.#pipeline.isIdle
    if (!isIdle && now < this.#stateDueAt) return
    this.end(this.#closeCode, this.#closeReason)
  }

  #tickSession(now: number): void {
    const event = this.#session.takeEvent(now)
    if (event === 'expired') this.end(CloseCode.sessionExpired, 'session expired')
    if (event === 'notice') this.write(encodeExpiring(this.expiresAt))
  }

  #tickOpening(now: number): void {
    if (now >= this.#stateDueAt) this.#openFailed(fail('HANDLER_TIMEOUT'))
  }

  #tickPeer(now: number, ping: Buffer): void {
    if (now - this.#lastMessageAt >= this.#host.settings.idleTimeoutMs) return this.end(CloseCode.unresponsive, 'idle')
    if (this.#inlet.isUnfinishedSince(now - this.#host.settings.messageTimeoutMs)) {
      return this.end(CloseCode.unresponsive, 'a message was not finished')
    }
    const event = this.#heartbeat.due(now)
    if (event === 'none') return
    if (event === 'dead') return this.#giveUp('no pong')
    this.#socket.ping(ping)
    this.#heartbeat.pinged(ping, now)
  }

  /** The peer is not there, or does as if: it is told, and its answer is not waited for. */
  #giveUp(reason: string): void {
    this.end(CloseCode.unresponsive, reason)
    this.#socket.terminate()
  }

  /** Has the peer, or an error of the protocol, begun to close? Then it has as long as if we had. */
  #isPeerLeaving(): boolean {
    return this.#socket.readyState !== this.#socket.OPEN
  }

  /** May it be written to? One that reads too slowly is closed. */
  #isReady(): boolean {
    if (this.isEnding) return false
    if (this.#outlet.isHolding || !this.#isSlow()) return true
    this.end(CloseCode.slowConsumer, 'too slow a reader')
    return false
  }

  /** What is held back was not offered to the system yet: that comes before the verdict. */
  #isSlow(): boolean {
    const { maxBuffered } = this.#host.settings
    if (this.#outlet.unsentBytes <= maxBuffered) return false
    this.#outlet.release()
    return this.#outlet.unsentBytes > maxBuffered
  }

  #leaveTopics(): void {
    for (const topic of this.#topics ?? NO_TOPICS) this.#host.unsubscribed(topic, this)
    this.#topics = undefined
  }
}
