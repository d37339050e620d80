import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { Server as TlsServer } from 'node:tls'

const OF_THE_UPGRADE = new Set(['upgrade', 'http2-settings'])

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
    const value = withoutUpgrade(name.toLowerCase(), String(rawHeaders[i + 1]))
    if (value !== undefined) lines.push(`${name}: ${value}`)
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

/** The value of a header that has nothing to do with the upgrade; undefined where nothing is left of it. */
function withoutUpgrade(name: string, value: string): string | undefined {
  if (OF_THE_UPGRADE.has(name)) return undefined
  if (name !== 'connection') return value
  const options = value.split(',').map((option) => option.trim())
  return options.filter((option) => !OF_THE_UPGRADE.has(option.toLowerCase())).join(', ') || undefined
}
