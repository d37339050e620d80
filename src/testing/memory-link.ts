import type { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers'
import { Server as TlsServer } from 'node:tls'
import { type FailureWatcher, watchFailures } from '../failure-watch.js'

/** The client, as the server sees it. */
export interface Peer {
  /** Its address; its channel counts as secure. */
  readonly ip: string
  /** Is told what the server fails with in what comes from it. */
  readonly watcher: FailureWatcher
}

/**
 * A connection to a server that need not listen. Node's servers take any stream for one that is emitted
 * (`http.Server`, event 'connection'), so that all that follows is as over a network: parser, limits, upgrade, close.
 *
 * @returns the client's end
 */
export function openMemoryLink(server: EventEmitter, { ip, watcher }: Peer): Duplex {
  const near = new LinkEnd()
  const far = Object.assign(new LinkEnd(), { remoteAddress: ip, encrypted: true })
  near.join(far)
  far.join(near)
  watchFailures(far, watcher)
  server.emit(server instanceof TlsServer ? 'secureConnection' : 'connection', far)
  return near
}

/** One end of a link. As over a network, what is written is on its way at once, and comes in a later turn. */
class LinkEnd extends Duplex {
  #other: LinkEnd = this
  /** Bytes that were written and have not come. */
  #onTheWay = 0
  #taken = 0
  #come = 0
  /** Goes on with writing, once the other end has room. */
  #resume: (() => void) | undefined

  join(other: LinkEnd): void {
    this.#other = other
  }

  /** As a socket of the network says it: what was given to it to send, also what it has not sent yet. */
  get bytesWritten(): number {
    return this.#taken + this.writableLength
  }

  get bytesRead(): number {
    return this.#come
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const other = this.#other
    // a copy, as either end may write into what it holds: ws masks frames in place
    const sent = Buffer.from(chunk)
    this.#onTheWay += sent.length
    process.nextTick(() => {
      this.#onTheWay -= sent.length
      other.#come += sent.length
      other.push(sent)
    })
    const take = () => {
      this.#taken += sent.length
      done()
    }
    if (this.#onTheWay + other.readableLength < other.readableHighWaterMark) take()
    else this.#resume = take
  }

  /** What is written together comes together. */
  override _writev(chunks: { readonly chunk: Buffer; readonly encoding: BufferEncoding }[], done: () => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'binary', done)
  }

  override _read(): void {
    const resume = this.#other.#resume
    this.#other.#resume = undefined
    resume?.()
  }

  override _final(done: () => void): void {
    process.nextTick(() => this.#other.push(null))
    done()
  }

  /** The other end learns of it after what was sent before. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    setImmediate(() => this.#other.destroy())
    done(error)
  }
}
