import { STOP } from './close-codes.js'
import type { ConnectionParts } from './connection-parts.js'
import { clientError, naming, type WsTicketError } from './error.js'
import type { ServerFrame } from './frame.js'
import { type Line, openLine } from './line.js'
import { openSession } from './session.js'
import { openSocket } from './socket.js'
import { requestTicket } from './ticket.js'

const UNOPENED = 'There was no WebSocket: is the server there, does the proxy pass Upgrade, does a hook refuse it?'

/** One attempt, and the connection that comes of it, until the signal is aborted. */
export function connect(parts: ConnectionParts, signal: AbortSignal): void {
  const { connectTimeout, requests, lost } = parts
  /** What it has come to nothing for, if nothing comes any more. */
  let missing = ''
  let line: Line

  function awaits(text: string): void {
    missing = text
    requests.awaits(text)
  }

  async function open(): Promise<void> {
    const { protocols } = await requestTicket(parts, {}, signal, awaits)
    signal.throwIfAborted()
    awaits(UNOPENED)
    line = openLine(openSocket(parts, protocols, signal, (frame) => received(frame), closed))
  }

  /** Nothing counts before the welcome. */
  let received = ({ type, payload }: ServerFrame): void => {
    if (type !== '$welcome') return
    missing = ''
    received = openSession(parts, line, signal, Object(payload).connection)
    requests.opened(line, parts.opened)
  }

  function closed(code: number, reason: unknown, cause?: unknown): void {
    const message = (code === 1006 && missing) || `The connection was closed with ${code} '${reason}'.`
    const retryAfter = code === 4429 ? line.retryAfter : undefined
    lost(clientError('DISCONNECTED', message, { cause, closeCode: code, retryAfter, isFinal: STOP.includes(code) }))
  }

  parts.after(connectTimeout, () => {
    lost(clientError('TIMEOUT', `No connection within ${connectTimeout} ms. ${missing}`))
  })
  naming('DISCONNECTED', UNOPENED, open).catch((error: WsTicketError) => signal.aborted || lost(error))
}
