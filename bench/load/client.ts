import { connect, type Socket } from 'node:net'
import { FrameCounter, textFrame } from './frames.js'
import { READY, type Wire } from './wires.js'

const HEAD_END = '\r\n\r\n'
const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
/** All sockets read into the same memory, since what they read is looked at in the same turn and not kept. */
const READ_BUFFER = Buffer.alloc(256 * 1024)

/** One connection on a raw socket: it writes frames that are ready, and counts those that it gets. */
export class Client {
  /** Told how many of the counted frames have come. */
  onFrames: (frames: number) => void = () => {}
  readonly #wire: Wire
  readonly #socket: Socket
  readonly #frames: FrameCounter
  #head: string | undefined = ''
  #isReady = false
  #ready = () => {}
  #failed: (error: Error) => void = () => {}

  /** Resolves when messages may be sent. */
  static async open(wire: Wire, port: number, user: number): Promise<Client> {
    const { path, headers } = await wire.upgrade(port, user)
    const client = new Client(wire, port)
    await new Promise<void>((resolve, reject) => {
      client.#ready = resolve
      client.#failed = reject
      const own = ['Host: 127.0.0.1', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${KEY}`]
      client.#socket.write([`GET ${path} HTTP/1.1`, ...own, ...headers].join('\r\n') + HEAD_END)
    })
    return client
  }

  private constructor(wire: Wire, port: number) {
    this.#wire = wire
    const onread = {
      buffer: READ_BUFFER,
      callback: (length: number, buffer: Uint8Array) => {
        this.#read(Buffer.from(buffer.buffer, buffer.byteOffset, length))
        return true
      }
    }
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true, onread })
    this.#socket.on('error', (error) => this.#failed(error))
    this.#socket.on('end', () => this.#failed(new Error('the server has closed')))
    this.#frames = new FrameCounter({
      pong: (frame) => this.write(frame),
      other: (text) => this.#hear(text),
      closed: (code) => this.#failed(new Error(`closed with ${code}`))
    })
  }

  /** Counts frames of exactly this length from now on; any other is an error. */
  count(length: number, failed: (error: Error) => void): void {
    this.#frames.length = length
    this.#failed = failed
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  close(): void {
    this.#failed = () => {}
    this.#socket.resetAndDestroy()
  }

  #read(bytes: Buffer): void {
    if (this.#head !== undefined) return this.#readHead(bytes)
    const counted = this.#frames.read(bytes)
    if (counted > 0) this.onFrames(counted)
  }

  #readHead(bytes: Buffer): void {
    this.#head += bytes.toString('latin1')
    const end = this.#head?.indexOf(HEAD_END) ?? -1
    if (end < 0) return
    const head = this.#head ?? ''
    this.#head = undefined
    if (!head.startsWith('HTTP/1.1 101 ')) return this.#failed(new Error(`no upgrade: ${head.split('\r\n', 1)}`))
    const greeting = this.#wire.greet('')
    if (greeting === READY) this.#setReady()
    else if (greeting !== undefined) this.write(textFrame(greeting))
    const rest = Buffer.from(head.slice(end + HEAD_END.length), 'latin1')
    if (rest.length > 0) this.#read(rest)
  }

  #hear(text: string): void {
    const reply = this.#isReady ? this.#wire.answer(text) : this.#wire.greet(text)
    if (reply === READY) return this.#setReady()
    if (reply !== undefined) this.write(textFrame(reply))
    else this.#failed(new Error(`not understood: ${text}`))
  }

  #setReady(): void {
    this.#isReady = true
    this.#ready()
  }
}
