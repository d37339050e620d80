import type { Duplex } from 'node:stream'
import type { RawData, WebSocket } from 'ws'
import type { LiveConnection } from './live-connection.js'

/** The connection of each socket. Listeners are shared by all sockets and find it here, so that none costs a closure. */
const connections = new WeakMap<WebSocket | Duplex, LiveConnection>()

/**
 * Makes the socket's events the connection's. Must run in the turn in which the socket opened, or frames are lost.
 * Listeners for errors that were there before are taken off: they hold on to the HTTP request.
 *
 * @param transport what the socket reads its bytes from
 */
export function attach(socket: WebSocket, transport: Duplex, connection: LiveConnection): void {
  connections.set(socket, connection)
  connections.set(transport, connection)
  // behind the socket, so that what came before a fault has been handled
  transport.on('data', onData)
  socket.removeAllListeners('error')
  socket.on('error', onError)
  socket.on('message', onMessage)
  socket.on('ping', onPing)
  socket.on('pong', onPong)
  socket.on('close', onClose)
}

function onData(this: Duplex, bytes: Buffer): void {
  connections.get(this)?.read(bytes)
}

function onMessage(this: WebSocket, data: RawData, isBinary: boolean): void {
  connections.get(this)?.received(toBuffer(data), isBinary)
}

function onPing(this: WebSocket): void {
  connections.get(this)?.pinged()
}

function onPong(this: WebSocket, data: Buffer): void {
  connections.get(this)?.ponged(data)
}

function onError(this: WebSocket, error: Error): void {
  connections.get(this)?.log.debug({ err: error }, 'socket error')
}

function onClose(this: WebSocket, code: number, reason: Buffer): void {
  connections.get(this)?.closed(code, reason.toString())
}

const NOTHING = Buffer.alloc(0)

/** A text is always one Buffer; only binary, which is refused unread, is what the app has set `binaryType` to. */
function toBuffer(data: RawData): Buffer {
  return Buffer.isBuffer(data) ? data : NOTHING
}
