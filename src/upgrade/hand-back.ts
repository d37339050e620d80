import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { Server as TlsServer } from 'node:tls'

const HOP_BY_HOP = new Set(['connection', 'upgrade', 'http2-settings'])

/**
 * Gives a request that wants to upgrade to something else than a WebSocket (`curl --http2` asks for h2c) back to the
 * HTTP server without its Upgrade header. A server may ignore that header (RFC 9110, section 7.8), and Node would, were
 * there no listener for upgrades.
 */
export function handBack(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  if (head.length > 0) socket.unshift(head)
  socket.unshift(serializeHead(request))
  server.emit(server instanceof TlsServer ? 'secureConnection' : 'connection', socket)
}

function serializeHead({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = String(rawHeaders[i])
    if (!HOP_BY_HOP.has(name.toLowerCase())) lines.push(`${name}: ${rawHeaders[i + 1]}`)
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}
