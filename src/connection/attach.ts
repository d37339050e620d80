import type { RawData, WebSocket } from 'ws'
import { ownCopy } from '../wire/own-copy.js'
import type { Peer } from './peer.js'

/** Where a socket has its peer. Listeners are shared by all sockets and find it here, so that none costs a closure. */
const PEER = Symbol('fastify-ws-ticket peer')

interface Attached {
  [PEER]?: Peer
}

/**
 * Makes the socket's events those of the peer. Must run in the turn in which the socket opened, or frames are lost.
 * Listeners for errors that were there before are taken off: they hold on to the HTTP request.
 */
export function attach(socket: WebSocket, peer: Peer): void {
  const attached: Attached = { [PEER]: peer }
  Object.assign(socket, attached, { pong: pongWithCopy })
  socket.removeAllListeners('error')
  socket.on('error', onError)
  socket.on('message', onMessage)
  socket.on('ping', onPing)
  socket.on('pong', onPong)
  socket.on('close', onClose)
}

/** `ws` answers a ping with a part of what it has read, all of which would be kept for as long as the pong waits. */
function pongWithCopy(this: WebSocket, data: unknown, ...rest: unknown[]): void {
  const { pong }: Pick<WebSocket, 'pong'> = Object.getPrototypeOf(this)
  Reflect.apply(pong, this, [Buffer.isBuffer(data) ? ownCopy(data) : data, ...rest])
}

function onMessage(this: WebSocket & Attached, data: RawData, isBinary: boolean): void {
  this[PEER]?.received(toBuffer(data), isBinary)
}

function onPing(this: WebSocket & Attached): void {
  this[PEER]?.pinged()
}

function onPong(this: WebSocket & Attached, data: Buffer): void {
  this[PEER]?.ponged(data)
}

function onError(this: WebSocket & Attached, error: Error): void {
  this[PEER]?.failed(error)
}

function onClose(this: WebSocket & Attached, code: number, reason: Buffer): void {
  this[PEER]?.connection.closed(code, reason.toString())
}

const NOTHING = Buffer.alloc(0)

/** A text is always one Buffer; only binary, which is refused unread, is what the app has set `binaryType` to. */
function toBuffer(data: RawData): Buffer {
  return Buffer.isBuffer(data) ? data : NOTHING
}
