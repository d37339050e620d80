/** A window and its document, as far as they are there: Node has neither, a worker no document. */
interface Page extends Partial<EventTarget> {
  readonly document?: Page
  readonly hidden?: boolean
}

/** Where the runtime tells of them: `woken` when the network is back or the page is looked at again, `doubtful` when the network is gone. */
export function watchPage(woken: () => void, doubtful: () => void): () => void {
  const window: Page = Object(globalThis)
  const { document } = window
  const undo = [
    listen(window, 'online', woken),
    listen(window, 'offline', doubtful),
    listen(document, 'visibilitychange', () => {
      if (!document?.hidden) woken()
    })
  ]
  return () => {
    for (const each of undo) each()
  }
}

function listen(target: Page | undefined, type: string, listener: () => void): () => void {
  target?.addEventListener?.(type, listener)
  return () => target?.removeEventListener?.(type, listener)
}
