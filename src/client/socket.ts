import { decodeFrame, type ServerFrame } from './frame.js'
import type { ClientSettings } from './options.js'

/** Sends a text on an open WebSocket. */
export type Write = (text: string) => void

/**
 * Begins to open a WebSocket; answers what sends on it.
 *
 * @param signal closes it when it is aborted; nothing is told any more
 */
export function openSocket(
  { WebSocket, socketUrl, origin }: ClientSettings,
  protocols: string[],
  signal: AbortSignal,
  received: (frame: ServerFrame) => void,
  closed: (code: number, reason: unknown, cause?: unknown) => void
): Write {
  let isUsed = false
  const socket = new WebSocket(socketUrl, protocols, origin)
  socket.onmessage = ({ data }: { data: unknown }) => {
    isUsed = true
    const frame = decodeFrame(data)
    if (frame) received(frame)
  }
  socket.onclose = ({ code, reason }: { code: number; reason: unknown }) => closed(code, reason)
  // a close follows, but not on Node 22 where the WebSocket could not be opened; `ws` throws an error that nobody listens to, and
  // both say here alone what it was
  socket.onerror = (event?: { error?: unknown }) => isUsed || closed(1006, '', event?.error)
  signal.addEventListener('abort', () => {
    socket.onmessage = socket.onclose = socket.onerror = () => {}
    socket.close(1000)
  })
  return (text) => socket.send(text)
}
