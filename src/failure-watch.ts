/** Is told what the server has failed with, and for which message of the connection. */
export type FailureWatcher = (failure: unknown, messageId?: number) => void

const watchers = new WeakMap<object, FailureWatcher>()

/**
 * Watches what comes by a socket, for what stands beside the app: its tests. Clients are told little of a failure of the server, and
 * the log says the rest. What nobody watches is not kept.
 */
export function watchFailures(socket: object, watcher: FailureWatcher): void {
  watchers.set(socket, watcher)
}

/** Who watches a socket watches the connection that it has become, too. */
export function watchConnection(socket: object, connection: object): void {
  const watcher = watchers.get(socket)
  if (watcher) watchers.set(connection, watcher)
}

/** Tells whoever watches the socket, or the connection. Never throws. */
export function tellFailure(source: object, failure: unknown, messageId?: number): void {
  watchers.get(source)?.(failure, messageId)
}
