import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TicketError } from '../errors.js'

/**
 * Answers an upgrade that does not get as far as Fastify, in the form of Fastify's errors, and closes the socket.
 */
export function refuseSocket(socket: Duplex, error: TicketError): void {
  const { statusCode, code, message, headers } = error
  const status = String(STATUS_CODES[statusCode])
  const body = JSON.stringify({ statusCode, code, error: status, message })
  const lines = [
    `HTTP/1.1 ${statusCode} ${status}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}`)
  ]
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}
