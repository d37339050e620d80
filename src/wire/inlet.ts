import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Clock } from '../clock.js'
import { FrameMeter } from './frame-meter.js'
import { ownCopy } from './own-copy.js'
import { Pieces } from './pieces.js'
import { endOfPlainFrame, textOfPlainFrame } from './plain-frame.js'

/** Is told what a connection's peer sends. */
export interface InletOwner {
  /** Is it closed, or about to be? Then nothing but the peer's close frame is of interest. */
  readonly isEnding: boolean
  /** A text message has come. */
  receivedText(text: string): void
  /** The socket is about to read: frames that complete no message, and how large the present message is by what it has declared so far. */
  followed(extraFrames: number, messageBytes: number, now: number): void
}

/** The listener by which a socket reads. */
export type Reader = (bytes: Buffer) => void

/** What a socket reads its bytes from, and writes them to. */
export interface Wire {
  /** Corked until the turn ends, or what is sent is much. */
  readonly transport: Duplex
  readonly reader: Reader
}

/** Smaller pieces of a frame are put together before the socket gets them. */
const MIN_PIECE_BYTES = 16_384

/** Where a transport has its inlet. Listeners are shared by all transports and find it here, so that none costs a closure. */
const INLET = Symbol('fastify-ws-ticket inlet')

interface WithInlet {
  [INLET]?: Inlet
}

/**
 * Reads the frames of one connection. Texts in one whole frame each, which is nearly all that an honest client sends, are read here;
 * everything else, and everything that might be wrong, is left to `ws`, in its order.
 */
export class Inlet {
  readonly #socket: WebSocket
  readonly #transport: Duplex
  readonly #owner: InletOwner
  readonly #maxPayload: number
  readonly #clock: Clock
  readonly #meter = new FrameMeter()
  /** How the socket reads. */
  readonly #reader: Reader
  readonly #pieces = new Pieces()
  /** Frames that the socket has told of. */
  #told = 0
  /** Is the present frame left to the socket, once the connection is ending? */
  #isForSocket = true

  /** Must be made in the turn in which the socket opened, or frames are lost. */
  constructor(socket: WebSocket, { transport, reader }: Wire, owner: InletOwner, maxPayload: number, clock: Clock) {
    this.#socket = socket
    this.#transport = transport
    this.#owner = owner
    this.#maxPayload = maxPayload
    this.#clock = clock
    this.#reader = reader
    intercept(transport, this, reader)
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
    if (rest.length > 0) this.#leave(isSmallPart(rest, bytes) ? ownCopy(rest) : rest)
  }

  /** The end of a frame that began in bytes before is for whoever has its begin. Returns what is behind it. */
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
    while (!this.#owner.isEnding) {
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
    return this.#meter.isBetweenMessages && this.#meter.frames === this.#told && this.#socket.listenerCount('message') === 1
  }

  #leave(bytes: Buffer): void {
    if (this.#owner.isEnding) return this.#leaveClose(bytes)
    const isOnlyPayload = this.#meter.frameBytesLeft > bytes.length
    this.#follow(bytes)
    if (isOnlyPayload && this.#pieces.length + bytes.length < MIN_PIECE_BYTES) this.#pieces.add(bytes)
    else this.#hand(bytes)
  }

  /** Of what comes while the connection ends a close frame is all that its socket waits for, besides the end of what it has begun to read. */
  #leaveClose(bytes: Buffer): void {
    const now = this.#clock.now()
    for (let at = 0, end = 0; at < bytes.length; at = end) {
      const isNext = this.#meter.isBetweenFrames
      end = this.#meter.readFrame(bytes, at, now)
      if (isNext) this.#isForSocket = this.#meter.isClose
      if (this.#isForSocket) this.#hand(bytes.subarray(at, end))
    }
  }

  #hand(bytes: Buffer): void {
    if (!this.#isListening) return
    if (this.#pieces.length > 0) Reflect.apply(this.#reader, this.#transport, [this.#pieces.take()])
    Reflect.apply(this.#reader, this.#transport, [bytes])
  }

  /** Behind a close frame or an error the socket does not listen any more. */
  get #isListening(): boolean {
    return this.#socket.readyState === this.#socket.OPEN || this.#transport.listeners('data').includes(this.#reader)
  }

  #follow(bytes: Buffer): void {
    const now = this.#clock.now()
    const extra = this.#meter.read(bytes, now)
    this.#owner.followed(extra, this.#meter.messageBytes, now)
  }
}

/** The begin of a frame waits for its end, and would keep all that it is a part of. */
function isSmallPart(part: Buffer, whole: Buffer): boolean {
  return part.length < whole.length / 2
}

/** Puts the inlet in the place of the socket's listener, which is left to it. */
function intercept(transport: Duplex & WithInlet, inlet: Inlet, listener: Reader): void {
  transport[INLET] = inlet
  transport.removeListener('data', listener)
  transport.on('data', inPlaceOf(listener))
}

/** By the listener that is replaced. All sockets of one `ws` have the same. */
const replacements = new WeakMap<Reader, Reader>()

/** One that goes when the other is removed, as a wrapper of `once` does: so `ws` takes it off where it would take off its own. */
function inPlaceOf(listener: Reader): Reader {
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
