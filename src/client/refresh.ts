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
    await requests.send('$refresh', { ticket }, { signal })
    isRefreshing = false
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

  // the server may tell of the next end in one breath with its answer, of which `extend` hears two turns later
  return () => queueMicrotask(() => queueMicrotask(() => isRefreshing || attempt()))
}
