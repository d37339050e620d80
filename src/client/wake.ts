/** Where the runtime tells of them: `woken` when the network is back or the page is looked at again, `doubtful` when the network is gone. */
export function watchPage(woken: () => void, doubtful: () => void): () => void {
  const page: unknown = Reflect.get(globalThis, 'document')
  const undo = [
    listen(globalThis, 'online', woken),
    listen(globalThis, 'offline', doubtful),
    listen(page, 'visibilitychange', () => {
      if (!Reflect.get(Object(page), 'hidden')) woken()
    })
  ]
  return () => {
    for (const each of undo) each()
  }
}

/** Node has neither, and a worker no document. */
function listen(target: unknown, type: string, listener: () => void): () => void {
  if (!isEventTarget(target)) return () => {}
  target.addEventListener(type, listener)
  return () => target.removeEventListener(type, listener)
}

function isEventTarget(target: unknown): target is EventTarget {
  return typeof Reflect.get(Object(target), 'addEventListener') === 'function'
}
