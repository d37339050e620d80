import type Type from 'typebox'
import type { Static } from 'typebox'
import { whole } from '../option-schema.js'

export const capFields = {
  /** Open connections in all. */
  maxConnections: whole(1, 10_000_000, 10_000),
  /** Open connections from one address (IPv6: one /64). */
  maxConnectionsPerIp: whole(1, 10_000_000, 100),
  /** Open connections of one user. */
  maxConnectionsPerUser: whole(1, 10_000_000, 10)
}

/** How many connections there may be. */
export interface ConnectionCaps {
  readonly total: number
  readonly perIp: number
  readonly perUser: number
}

export function capSettings(given: Static<Type.TObject<typeof capFields>>): ConnectionCaps {
  return Object.freeze({ total: given.maxConnections, perIp: given.maxConnectionsPerIp, perUser: given.maxConnectionsPerUser })
}
