import { decodeFrame, type ServerFrame } from './encoder.js'
import type { ClientSettings } from './options.js'

/** Who is told what comes. Nothing does after `closed`, nor after the connection was closed from here. */
export interface ConnectionEvents {
  received(frame: ServerFrame): void
  closed(code: number): void
  /** Something is wrong. `closed` follows, but not on Node 22 where the WebSocket could not be opened. */
  failed(): void
}

/** One WebSocket. */
export class Connection {
  readonly #socket: InstanceType<ClientSettings['WebSocket']>

  constructor({ WebSocket, socketUrl, origin }: ClientSettings, protocols: string[], events: ConnectionEvents) {
    const socket = new WebSocket(socketUrl, protocols, origin)
    socket.onmessage = ({ data }: { data: unknown }) => {
      const frame = decodeFrame(data)
      if (frame) events.received(frame)
    }
    socket.onclose = ({ code }: { code: number }) => events.closed(code)
    socket.onerror = () => events.failed()
    this.#socket = socket
  }

  send(text: string): void {
    this.#socket.send(text)
  }

  close(): void {
    this.#socket.onmessage = null
    this.#socket.onclose = null
    // `ws` throws an error that nobody listens to
    this.#socket.onerror = () => {}
    this.#socket.close(1000)
  }
}
