import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { type Duplex, finished } from 'node:stream'

/**
 * `injectWS` gives a plain object for a request: no socket, no raw headers, no events. Fills in what Fastify and the
 * checks of an upgrade read, as `inject` does for its requests: the peer is 127.0.0.1.
 */
export function completeInjected(request: IncomingMessage, socket: Duplex): void {
  // its socket does not destroy itself at its end, as the network's do; nobody would learn that it is closed
  finished(socket, () => socket.destroy())
  // Node uncorks a socket by setting it back, which this one does not know: the end of an answer would be stuck in it
  Object.assign(socket, { cork: nothing, uncork: nothing })
  const { headers } = request
  headers.host ??= 'localhost'
  const emitter = new EventEmitter()
  const missing = {
    socket: Object.assign(socket, { remoteAddress: '127.0.0.1' }),
    rawHeaders: Object.entries(headers).flatMap(([name, value]) => [name, String(value)]),
    on: emitter.on.bind(emitter),
    once: emitter.once.bind(emitter),
    removeListener: emitter.removeListener.bind(emitter),
    emit: emitter.emit.bind(emitter)
  }
  for (const [name, value] of Object.entries(missing)) {
    if (!(name in request)) Object.defineProperty(request, name, { value, writable: true, configurable: true })
  }
}

function nothing(): void {}
