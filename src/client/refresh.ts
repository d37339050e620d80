import type { ConnectionParts } from './connection-parts.js'
import type { WsTicketError } from './error.js'
import { requestTicket } from './ticket.js'

/**
 * What extends the session of a connection before it expires, of which a server may tell again and again; once more after a failure
 * that may pass.
 */
export function keepRefreshed(parts: ConnectionParts, signal: AbortSignal, connectionId: unknown): () => void {
  const { clock, requests, pause, lost } = parts
  /** Also while it waits to try again. */
  let isRefreshing = false

  async function extend(): Promise<void> {
    isRefreshing = true
    const { ticket } = await requestTicket(parts, { refresh: connectionId }, signal, () => {})
    // the server may tell of the next end in one breath with its answer
    isRefreshing = false
    await requests.send('$refresh', { ticket }, { signal })
  }

  function failed(reason: WsTicketError): void {
    if (signal.aborted) return
    if (reason.code === 'NO_USER') return lost(reason)
    // what else is refused for good the attempt that follows the end of the session will be told
    if (reason.isFinal) return
    isRefreshing = true
    const stop = clock.after(pause() + (reason.retryAfter ?? 0), () => {
      extend().catch(failed)
    })
    signal.addEventListener('abort', stop)
  }

  function refresh(): void {
    if (!isRefreshing) extend().catch(failed)
  }
  return refresh
}
