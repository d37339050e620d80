import { randomBytes } from 'node:crypto'
import type { WebSocket } from 'ws'
import { CloseCode } from '../protocol.js'
import { Inlet, type InletOwner, type Wire } from '../wire/inlet.js'
import type { Outlet } from '../wire/outlet.js'
import { attach } from './attach.js'
import { codeOfRefusedFrame } from './close.js'
import { Heartbeat } from './heartbeat.js'
import type { ConnectionHost } from './host.js'
import type { LifeCycle } from './life-cycle.js'
import type { LiveConnection } from './live-connection.js'

const TOO_BIG = 'message too big'
/** Of its own for each, or who hears the ping of another connection could answer it for one that reads nothing. */
const PING_BYTES = 8

/** What a connection is made of besides its peer. */
export interface PeerParts {
  readonly socket: WebSocket
  readonly wire: Wire
  readonly outlet: Outlet
  readonly life: LifeCycle
}

/** The other end of one connection: what comes from it, and whether it is still there. */
export class Peer implements InletOwner {
  readonly connection: LiveConnection
  readonly #host: ConnectionHost
  readonly #socket: WebSocket
  readonly #outlet: Outlet
  readonly #life: LifeCycle
  readonly #inlet: Inlet
  readonly #heartbeat: Heartbeat
  #lastMessageAt: number

  /** Must be made in the turn in which the socket opened, or frames are lost. */
  constructor(connection: LiveConnection, host: ConnectionHost, { socket, wire, outlet, life }: PeerParts) {
    const now = host.clock.now()
    this.connection = connection
    this.#host = host
    this.#socket = socket
    this.#outlet = outlet
    this.#life = life
    this.#inlet = new Inlet(socket, wire, this, host.settings.maxPayload, host.clock)
    this.#heartbeat = new Heartbeat(host.settings, now)
    this.#lastMessageAt = now
    attach(socket, this)
  }

  get isEnding(): boolean {
    return this.#life.isEnding
  }

  /** Reads nothing more from it, until it is told to start. */
  pause(): void {
    this.#socket.pause()
  }

  /** The connection is open. That nothing was read until now is not the fault of the peer. */
  start(): void {
    this.#lastMessageAt = this.#host.clock.now()
    this.#inlet.excuse(this.#lastMessageAt)
    this.#socket.resume()
  }

  /** From the inlet: a message. */
  receivedText(text: string): void {
    const now = this.#host.clock.now()
    if (this.#isAcceptable(now)) this.#host.receive(this.connection, text, now)
  }

  /** From the socket: a message that the inlet has left to it. */
  received(data: Buffer, isBinary: boolean): void {
    this.#inlet.told()
    const now = this.#host.clock.now()
    if (this.isEnding || !this.#isAcceptable(now)) return
    if (isBinary) return this.connection.end(CloseCode.unsupportedData, 'binary frames are not accepted')
    if (data.length > this.#host.settings.maxPayload) return this.connection.end(CloseCode.messageTooBig, TOO_BIG)
    this.#host.receive(this.connection, data.toString(), now)
  }

  /** From the inlet: the socket is about to read. */
  followed(extraFrames: number, messageBytes: number, now: number): void {
    if (extraFrames > 0) this.#outlet.cork()
    // an error that the socket has found in these bytes comes first, and it tells in a later turn
    if (this.#areTooMany(extraFrames, now)) {
      setImmediate(() => this.connection.end(CloseCode.limitsExceeded, 'too many frames that are no message'))
    }
    if (messageBytes > this.#host.settings.maxPayload) setImmediate(() => this.#stopReading())
  }

  /** From the socket: a ping, which it has answered. */
  pinged(): void {
    this.#inlet.told()
    this.connection.endIfSlow()
  }

  /** From the socket: a pong. */
  ponged(data: Buffer): void {
    this.#inlet.told()
    this.#heartbeat.ponged(data)
  }

  /** From the socket: an error. Where it has refused a frame it has told the peer so, and is closing. */
  failed(error: Error): void {
    this.connection.log.debug({ err: error }, 'socket error')
    const code = codeOfRefusedFrame(error)
    if (code !== undefined) this.connection.endedBySocket(code, code === CloseCode.messageTooBig ? TOO_BIG : '')
  }

  /** Asks for a sign of life where one is due, and closes where there was none. */
  tick(now: number): void {
    const { idleTimeoutMs, messageTimeoutMs } = this.#host.settings
    if (now - this.#lastMessageAt >= idleTimeoutMs) return this.connection.end(CloseCode.unresponsive, 'idle')
    if (this.#inlet.isUnfinishedSince(now - messageTimeoutMs)) {
      return this.connection.end(CloseCode.unresponsive, 'a message was not finished')
    }
    const event = this.#heartbeat.due(now)
    if (event === 'none') return
    if (event === 'dead') return this.#giveUp()
    const ping = randomBytes(PING_BYTES)
    this.#socket.ping(ping)
    this.#heartbeat.pinged(ping, now)
  }

  /** It is not there, or does as if: it is told, and its answer is not waited for. */
  #giveUp(): void {
    this.connection.end(CloseCode.unresponsive, 'no pong')
    this.#socket.terminate()
  }

  /** Is a message to be handled that comes now? The round may be late; nothing is handled after the session's end all the same. */
  #isAcceptable(now: number): boolean {
    if (!this.#life.isOpen || !this.connection.isInSession(now)) return false
    this.#lastMessageAt = now
    return true
  }

  #areTooMany(extraFrames: number, now: number): boolean {
    for (let left = extraFrames; left > 0; left--) {
      if (this.#host.frameLimit.take(this.connection, now) > 0) return true
    }
    return false
  }

  /** More is declared than is taken: nothing of it goes into memory, nor whatever comes after. */
  #stopReading(): void {
    if (this.isEnding) return
    this.connection.end(CloseCode.messageTooBig, TOO_BIG)
    this.pause()
  }
}
