import { BlockList, isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { fail } from '../errors.js'
import type { Settings } from '../options.js'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/**
 * Refuses a request that came in clear, except from this machine. What a proxy's headers may claim of scheme and
 * address is for Fastify's `trustProxy` to say; that a proxy says it came in clear is believed of everybody.
 * @throws FST_WS_TICKET_TLS_REQUIRED
 */
export function checkSecureChannel(request: FastifyRequest, settings: Settings): void {
  if (settings.allowInsecure || request.protocol === 'https') return
  if (isLoopback(request.ip) && !cameInClear(request)) return
  throw fail('TLS_REQUIRED')
}

/** Does a proxy say so? It may itself be on this machine, and its client is not. */
function cameInClear({ headers }: FastifyRequest): boolean {
  const claimed = headers['x-forwarded-proto']
  return claimed !== undefined && claimed !== 'https'
}

function isLoopback(ip: string): boolean {
  // the usual one, since a BlockList takes long
  if (ip === '127.0.0.1') return true
  // a request whose socket is gone already has no address
  const version = isIP(ip)
  return version !== 0 && loopback.check(ip, version === 6 ? 'ipv6' : 'ipv4')
}
