import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Clock } from '../clock.js'
import { FrameMeter } from './frame-meter.js'
import { endOfPlainFrame, textOfPlainFrame } from './plain-frame.js'

/** Is told what a connection's peer sends. */
export interface InletOwner {
  /** Is it closed, or about to be? Then its socket alone reads on, for the peer's close frame. */
  readonly isEnding: boolean
  /** A text message has come. */
  receivedText(text: string): void
  /** The socket is about to read: frames that complete no message, and how large the present message is by what it has declared so far. */
  followed(extraFrames: number, messageBytes: number, now: number): void
}

type Listener = (bytes: Buffer) => void

/** Where a transport has its inlet. Listeners are shared by all transports and find it here, so that none costs a closure. */
const INLET = Symbol('fastify-ws-ticket inlet')

interface WithInlet {
  [INLET]?: Inlet
}

/**
 * Reads the frames of one connection. Texts in one whole frame each, which is nearly all that an honest client sends, are read here;
 * everything else, and everything that might be wrong, is left to `ws`, in its order. With compression `ws` reads all.
 */
export class Inlet {
  readonly #socket: WebSocket
  readonly #transport: Duplex
  readonly #owner: InletOwner
  readonly #maxPayload: number
  readonly #clock: Clock
  readonly #meter = new FrameMeter()
  /** How the socket reads; undefined where others listen to the transport as well, who are to see its bytes as they come. */
  readonly #listener: Listener | undefined
  /** Frames that the socket has told of. */
  #told = 0

  /** Must be made in the turn in which the socket opened, or frames are lost. */
  constructor(socket: WebSocket, transport: Duplex, owner: InletOwner, maxPayload: number, clock: Clock) {
    this.#socket = socket
    this.#transport = transport
    this.#owner = owner
    this.#maxPayload = maxPayload
    this.#clock = clock
    this.#listener = intercept(transport, this)
  }

  /** The socket has told of a frame: a message, a ping or a pong. */
  told(): void {
    this.#told++
  }

  /** Was a message begun before that time, and is not finished? */
  isUnfinishedSince(time: number): boolean {
    return this.#meter.isUnfinishedSince(time)
  }

  /** Nothing was read for a while, and that was not the client's fault. */
  excuse(now: number): void {
    this.#meter.excuse(now)
  }

  read(bytes: Buffer): void {
    const rest = this.#readTexts(this.#finishFrame(bytes))
    if (rest.length > 0) this.#leave(rest)
  }

  /** The end of a frame that began in bytes before is for the socket. Returns what is behind it. */
  #finishFrame(bytes: Buffer): Buffer {
    const left = this.#meter.frameBytesLeft
    if (left === 0 || left >= bytes.length) return bytes
    this.#leave(bytes.subarray(0, left))
    return bytes.subarray(left)
  }

  /** Returns the bytes from the first frame on that is not for us. */
  #readTexts(bytes: Buffer): Buffer {
    if (!this.#mayRead) return bytes
    let at = 0
    for (;;) {
      const end = endOfPlainFrame(bytes, at, this.#maxPayload)
      if (end < 0) break
      const text = textOfPlainFrame(bytes, at, end)
      if (text === undefined) break
      at = end
      this.#owner.receivedText(text)
    }
    return at === 0 ? bytes : bytes.subarray(at)
  }

  /** Nothing may overtake what the socket has not told of yet, and where others listen to its messages, it reads them all. */
  get #mayRead(): boolean {
    if (this.#listener === undefined || this.#owner.isEnding) return false
    return this.#meter.isBetweenMessages && this.#meter.frames === this.#told && this.#socket.listenerCount('message') === 1
  }

  #leave(bytes: Buffer): void {
    if (!this.#owner.isEnding) this.#follow(bytes)
    if (this.#listener && this.#isListening(this.#listener)) Reflect.apply(this.#listener, this.#transport, [bytes])
  }

  /** Behind a close frame or an error the socket does not listen any more. */
  #isListening(listener: Listener): boolean {
    return this.#socket.readyState === this.#socket.OPEN || this.#transport.listeners('data').includes(listener)
  }

  #follow(bytes: Buffer): void {
    const now = this.#clock.now()
    const extra = this.#meter.read(bytes, now)
    this.#owner.followed(extra, this.#meter.messageBytes, now)
  }
}

/**
 * Puts the inlet before the socket. Returns the listener by which the socket reads, if the inlet has taken its place; otherwise it is
 * called after the inlet.
 */
function intercept(transport: Duplex & WithInlet, inlet: Inlet): Listener | undefined {
  transport[INLET] = inlet
  const [listener, ...others] = transport.listeners('data')
  if (!isListener(listener) || others.length > 0) {
    transport.prependListener('data', onData)
    return undefined
  }
  transport.removeListener('data', listener)
  transport.on('data', inPlaceOf(listener))
  return listener
}

function isListener(value: unknown): value is Listener {
  return typeof value === 'function'
}

function onData(this: Duplex & WithInlet, bytes: Buffer): void {
  this[INLET]?.read(bytes)
}

/** By the listener that is replaced. All sockets of one `ws` have the same. */
const replacements = new WeakMap<Listener, Listener>()

/** One that goes when the other is removed, as a wrapper of `once` does: so `ws` takes it off where it would take off its own. */
function inPlaceOf(listener: Listener): Listener {
  const known = replacements.get(listener)
  if (known) return known
  const replacement = Object.assign(
    function (this: Duplex & WithInlet, bytes: Buffer): void {
      this[INLET]?.read(bytes)
    },
    { listener }
  )
  replacements.set(listener, replacement)
  return replacement
}
