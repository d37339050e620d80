import type { RawData, WebSocket } from 'ws'
import type { LiveConnection } from './live-connection.js'

/** Where a socket has its connection. Listeners are shared by all sockets and find it here, so that none costs a closure. */
const CONNECTION = Symbol('fastify-ws-ticket connection')

interface Attached {
  [CONNECTION]?: LiveConnection
}

/**
 * Makes the socket's events the connection's. Must run in the turn in which the socket opened, or frames are lost.
 * Listeners for errors that were there before are taken off: they hold on to the HTTP request.
 */
export function attach(socket: WebSocket, connection: LiveConnection): void {
  const attached: Attached = { [CONNECTION]: connection }
  Object.assign(socket, attached)
  socket.removeAllListeners('error')
  socket.on('error', onError)
  socket.on('message', onMessage)
  socket.on('ping', onPing)
  socket.on('pong', onPong)
  socket.on('close', onClose)
}

function onMessage(this: WebSocket & Attached, data: RawData, isBinary: boolean): void {
  this[CONNECTION]?.received(toBuffer(data), isBinary)
}

function onPing(this: WebSocket & Attached): void {
  this[CONNECTION]?.pinged()
}

function onPong(this: WebSocket & Attached, data: Buffer): void {
  this[CONNECTION]?.ponged(data)
}

function onError(this: WebSocket & Attached, error: Error): void {
  this[CONNECTION]?.log.debug({ err: error }, 'socket error')
}

function onClose(this: WebSocket & Attached, code: number, reason: Buffer): void {
  this[CONNECTION]?.closed(code, reason.toString())
}

const NOTHING = Buffer.alloc(0)

/** A text is always one Buffer; only binary, which is refused unread, is what the app has set `binaryType` to. */
function toBuffer(data: RawData): Buffer {
  return Buffer.isBuffer(data) ? data : NOTHING
}
