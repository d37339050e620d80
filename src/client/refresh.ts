import type { ConnectionParts } from './connection-parts.js'
import type { WsTicketError } from './error.js'
import { requestTicket } from './ticket.js'

/**
 * What extends the session of a connection before it expires, of which a server may tell again and again; once more after a failure
 * that may pass.
 */
export function keepRefreshed(parts: ConnectionParts, signal: AbortSignal, connectionId: unknown): () => void {
  const { clock, requests, pause, lost } = parts
  /** How often the end was told since an extension began, also in one breath with its answer; 0 while there is none. */
  let told = 0

  async function extend(): Promise<void> {
    told = 1
    const { ticket } = await requestTicket(parts, { refresh: connectionId }, signal, () => {})
    await requests.send('$refresh', { ticket }, { signal })
    if (--told) return extend()
  }

  function failed(reason: WsTicketError): void {
    if (signal.aborted) return
    if (reason.code === 'NO_USER') return lost(reason)
    // what else is refused for good the attempt that follows the end of the session will be told
    if (!reason.isFinal) signal.addEventListener('abort', clock.after(pause() + (reason.retryAfter ?? 0), attempt))
  }

  function attempt(): void {
    extend().catch(failed)
  }

  return () => {
    if (!told++) attempt()
  }
}
