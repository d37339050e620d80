import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { Backlog } from './backlog.js'
import type { Batch, SharedFrame } from './shared-frame.js'
import { frameText, headerOf } from './text-frame.js'
import { afterLoop, afterRead } from './turn.js'

const TEXT = { binary: false }
/** More is not held back: what the system does not take then is for the limit on a slow reader to see. */
const MAX_HELD_BYTES = 65_536

/** Is told what a transport has thrown, which is then of no use any more. */
export interface OutletOwner {
  writeFailed(error: unknown): void
}

/**
 * Writes the frames of one connection, in their order. A write to a socket costs more than all else that is done for a small message,
 * so what is written in one turn leaves together.
 */
export class Outlet {
  readonly #socket: WebSocket
  readonly #transport: Duplex
  readonly #owner: OutletOwner
  /** Frames go through `ws`, which compresses them one after the other, and never past it. */
  readonly #isCompressed: boolean
  /** What many get. */
  #batch: Batch | undefined
  /** What one gets, while there is nothing that many get: frames of nothing but ASCII, which as one text take the least time to write. */
  #frames = ''
  /** Are writes kept in the transport until the turn ends? So are the frames that `ws` writes itself, in their place. */
  #isCorked = true
  /** Had the system not taken all when the transport was corked? */
  #wasBehind = false
  /** Is there while more than the limit is left lying. */
  #backlog: Backlog | undefined

  /** @param transport what the socket writes its bytes to: corked by the caller, and uncorked by the outlet when the turn ends */
  constructor(socket: WebSocket, transport: Duplex, owner: OutletOwner) {
    this.#socket = socket
    this.#transport = transport
    this.#owner = owner
    this.#isCompressed = socket.extensions !== ''
    afterRead.add(this)
  }

  /** All that went over the transport since it was opened; 0 where it does not say, as without a network. */
  get bytes(): { readonly received: number; readonly sent: number } {
    return { received: countOf(this.#transport, 'bytesRead'), sent: countOf(this.#transport, 'bytesWritten') }
  }

  /** Does it hold something back that is not much yet? Until that is let out nothing has changed for the peer. */
  get isHolding(): boolean {
    return !this.#isCorked && (this.#batch !== undefined || this.#frames !== '')
  }

  /** Has the system left more than that many bytes lying? What is held back was not offered to it yet: that comes before the verdict. */
  isBehindBy(maxBytes: number): boolean {
    if (this.#unsentBytes <= maxBytes) return false
    this.release()
    return this.#unsentBytes > maxBytes
  }

  /** Has it left more lying for long? To be asked now and then. */
  isStuckBehindBy(maxBytes: number, now: number): boolean {
    const backlog = this.#backlog
    if (!this.isBehindBy(maxBytes)) {
      this.#backlog = undefined
      return false
    }
    if (backlog && !backlog.isOld(now)) return false
    const { sent } = this.bytes
    this.#backlog = new Backlog(sent, now)
    return backlog !== undefined && backlog.leftOf(this.#unsentBytes, sent) > maxBytes
  }

  /** Writes what one connection gets. It leaves as soon as all that was read with what it answers is handled. */
  write(text: string): void {
    const length = Buffer.byteLength(text)
    if (this.#isCorked || this.#isCompressed || length !== text.length) return this.#writeCorked(text)
    if (this.#batch) this.#flush()
    if (this.#frames === '') afterRead.add(this)
    this.#frames += headerOf(length) + text
    if (this.#frames.length > MAX_HELD_BYTES) this.release()
  }

  /** Writes what many get. It leaves when all that could be read is handled, as others may have something for the same many. */
  share(frame: SharedFrame): void {
    if (this.#isCompressed) return this.#writeCorked(frame.payload.toString())
    if (this.#isCorked || this.#frames !== '') return this.#writeSharedCorked(frame)
    if (!this.#batch) afterLoop.add(this)
    this.#batch = this.#batch ? this.#batch.followedBy(frame) : frame.batch
    if (this.#batch.length > MAX_HELD_BYTES) this.release()
  }

  /** Lets out at once what is held back. */
  release(): void {
    this.#flush()
    if (!this.#isCorked) return
    this.#isCorked = false
    try {
      this.#transport.uncork()
    } catch (error) {
      this.#owner.writeFailed(error)
    }
  }

  /** From here until the turn ends frames keep their place among those that `ws` writes itself. */
  cork(): void {
    if (this.#isCorked) return
    this.#wasBehind = this.#isBehind
    this.#isCorked = true
    this.#transport.cork()
    afterRead.add(this)
    this.#flush()
  }

  #writeCorked(text: string): void {
    this.cork()
    if (this.#isCompressed) this.#compress(text)
    else this.#put(frameText(text))
    this.#releaseIfMuch()
  }

  #writeSharedCorked(frame: SharedFrame): void {
    this.cork()
    this.#put(frame.bytes)
    this.#releaseIfMuch()
  }

  #releaseIfMuch(): void {
    if (this.#transport.writableLength > MAX_HELD_BYTES) this.release()
  }

  /** Hands over what is held back. Nothing may follow a close frame (RFC 6455, section 5.5.1), which `ws` may have written since. */
  #flush(): void {
    const held = this.#batch?.bytes ?? this.#frames
    this.#batch = undefined
    this.#frames = ''
    if (held.length > 0 && this.#socket.readyState === this.#socket.OPEN) this.#put(held)
  }

  /** Bytes that the system has not taken yet. */
  get #unsentBytes(): number {
    // what is compressed waits in the socket first
    const unsent = this.#isCompressed ? this.#socket.bufferedAmount : this.#transport.writableLength
    return unsent + this.#frames.length + (this.#batch?.length ?? 0)
  }

  /** Does the system leave lying what was written in earlier turns? */
  get #isBehind(): boolean {
    return this.#isCorked ? this.#wasBehind : this.#transport.writableLength > 0
  }

  #put(frames: Buffer | string): void {
    try {
      this.#transport.write(this.#isBehind ? toKeep(frames) : frames, 'latin1')
    } catch (error) {
      this.#owner.writeFailed(error)
    }
  }

  #compress(text: string): void {
    try {
      this.#socket.send(text, TEXT)
    } catch (error) {
      this.#owner.writeFailed(error)
    }
  }
}

/** What may lie for long: as many bytes as it says. A small Buffer would keep the pool it is part of, and a text all it is joined of. */
function toKeep(frames: Buffer | string): Buffer | string {
  if (typeof frames === 'string') return Buffer.from(frames, 'latin1').toString('latin1')
  return frames.buffer.byteLength > frames.length ? frames.toString('latin1') : frames
}

function countOf(transport: Duplex, name: 'bytesRead' | 'bytesWritten'): number {
  const count: unknown = Reflect.get(transport, name)
  return typeof count === 'number' ? count : 0
}
