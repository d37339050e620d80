import type { WebSocket } from 'ws'
import { fail } from '../errors.js'
import { escapeControls } from '../escape.js'
import { tellFailure } from '../failure-watch.js'
import { logFailure } from '../log-failure.js'
import { isPromiseLike } from '../promise-like.js'
import { CloseCode } from '../protocol.js'
import type { Outlet } from '../wire/outlet.js'
import { fitReason } from './close.js'
import type { ConnectionHost } from './host.js'
import type { LiveConnection } from './live-connection.js'
import type { Peer } from './peer.js'

/** `draining` finishes what runs and takes nothing new; `closing` waits for the peer's close frame. */
type State = 'opening' | 'open' | 'draining' | 'closing' | 'closed'

/** The state of one connection: how it is opened and closed (RFC 6455, section 7), and how long that may take. */
export class LifeCycle {
  readonly #connection: LiveConnection
  readonly #host: ConnectionHost
  readonly #socket: WebSocket
  readonly #outlet: Outlet
  #state: State = 'opening'
  /** When the present state is given up: opening, draining or closing. */
  #dueAt: number
  /** What our own close frame says; 0 where the peer closes. */
  #closeCode = 0
  #closeReason = ''
  /** What it is to say after draining. */
  #drainCode = 0
  #drainReason = ''

  constructor(connection: LiveConnection, host: ConnectionHost, socket: WebSocket, outlet: Outlet) {
    this.#connection = connection
    this.#host = host
    this.#socket = socket
    this.#outlet = outlet
    this.#dueAt = host.clock.now() + host.settings.handlerTimeoutMs
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  get isDraining(): boolean {
    return this.#state === 'draining'
  }

  /** Is it closed, or about to be, or has the peer, or an error of the protocol, begun to close? Then nothing is sent any more. */
  get isEnding(): boolean {
    return this.#state === 'closing' || this.#state === 'closed' || this.#socket.readyState !== this.#socket.OPEN
  }

  /** Lets the app prepare; nothing is read of the peer until that is done. */
  open(peer: Peer): void {
    try {
      const opened = this.#host.opened(this.#connection)
      if (isPromiseLike(opened)) this.#awaitOpened(opened, peer)
      else this.#openDone(peer)
    } catch (error) {
      this.#openFailed(error)
    }
  }

  /** Closes when nothing is being handled any more, at the latest after `closeTimeoutMs`. */
  drain(code: number, reason: string): void {
    this.#drainCode = code
    this.#drainReason = reason
    this.#enter('draining')
    this.tickDraining(this.#host.clock.now())
  }

  /** Sends the close frame, which the peer has `closeTimeoutMs` to answer. */
  close(code: number, reason: string): void {
    if (this.isEnding) return
    this.#closeCode = code
    this.#closeReason = fitReason(reason)
    this.#startClosing()
    // a paused socket would not see the peer's close frame
    this.#socket.resume()
    this.#outlet.release()
    this.#socket.close(code, this.#closeReason)
  }

  /** The socket has closed it by itself. False where that came too late: it was being closed already. */
  closedBySocket(code: number, reason: string): boolean {
    if (this.#state === 'closing') return false
    this.#closeCode = code
    this.#closeReason = reason
    return true
  }

  /** Closes at once: whether the peer answers is of no interest. */
  terminate(): void {
    this.#socket.terminate()
  }

  /** It is closed, and all that it had is given back. */
  closed(code: number, reason: string): void {
    this.#state = 'closed'
    if (this.#closeCode === 0) this.#host.closed(this.#connection, code, escapeControls(reason), 'client')
    else this.#host.closed(this.#connection, this.#closeCode, this.#closeReason, 'server')
  }

  tickOpening(now: number): void {
    if (this.#state === 'opening' && this.#isOverdue(now)) this.#openFailed(fail('HANDLER_TIMEOUT'))
  }

  tickDraining(now: number): void {
    if (this.#connection.isIdle || this.#isOverdue(now)) this.close(this.#drainCode, this.#drainReason)
  }

  /** A peer that has begun to close has as long as if we had; then it is not waited for. */
  tickEnding(now: number): void {
    if (this.#state !== 'closing') this.#startClosing()
    else if (this.#isOverdue(now)) this.terminate()
  }

  #awaitOpened(opened: PromiseLike<unknown>, peer: Peer): void {
    peer.pause()
    // what claims to be a promise may throw where a promise rejects
    Promise.resolve(opened).then(
      () => this.#openDone(peer),
      (error) => this.#openFailed(error)
    )
  }

  #openDone(peer: Peer): void {
    if (this.#state !== 'opening') return
    this.#state = 'open'
    peer.start()
  }

  #openFailed(error: unknown): void {
    if (this.#state !== 'opening') return
    logFailure(this.#connection.log, error, 'the connection could not be opened')
    tellFailure(this.#connection, error)
    this.close(CloseCode.internalError, 'internal error')
  }

  #startClosing(): void {
    this.#enter('closing')
    this.#connection.stop()
  }

  #enter(state: 'draining' | 'closing'): void {
    this.#state = state
    this.#dueAt = this.#host.clock.now() + this.#host.settings.closeTimeoutMs
  }

  #isOverdue(now: number): boolean {
    return now >= this.#dueAt
  }
}
