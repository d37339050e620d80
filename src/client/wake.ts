/** A window and its document, as far as they are there: Node has neither, a worker no document. */
interface Page extends Partial<EventTarget> {
  readonly document?: Page
  readonly hidden?: boolean
}

/**
 * Where the runtime tells of them: `woken` when the network is back or the page is looked at again, `doubtful` when the network is
 * gone; until the signal is aborted.
 */
export function watchPage(signal: AbortSignal, woken: () => void, doubtful: () => void): void {
  const window: Page = Object(globalThis)
  const { document } = window
  window.addEventListener?.('online', woken, { signal })
  window.addEventListener?.('offline', doubtful, { signal })
  document?.addEventListener?.('visibilitychange', () => document.hidden || woken(), { signal })
}
