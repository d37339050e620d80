import { fail } from '../errors.js'
import { escapeToAscii } from '../escape.js'
import type { Settings } from '../options.js'

const MAX_LOGGED = 200

/**
 * Refuses a request whose Origin is not on the list; the comparison is exact (OWASP, Cross-Site WebSocket Hijacking).
 * Returns the Origin; null where there is none and none is needed.
 * @throws FST_WS_TICKET_ORIGIN_REFUSED, FST_WS_TICKET_ORIGIN_MISSING
 */
export function checkOrigin(origin: string | undefined, settings: Settings): string | null {
  if (origin === undefined && settings.allowMissingOrigin) return null
  if (origin === undefined) throw fail('ORIGIN_MISSING')
  if (settings.allowedOrigins.has(origin)) return origin
  throw fail('ORIGIN_REFUSED', [], { origin: escapeToAscii(origin.slice(0, MAX_LOGGED)) })
}
