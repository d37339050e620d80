import { ConnectionLimits } from './capacity/connection-limits.js'
import type { RouteScope } from './route/route-scope.js'

/** What there is on this node at the moment. */
export interface Stats {
  readonly connections: number
  /** Handshakes under way on the whole server. */
  readonly pendingHandshakes: number
  /** Tickets kept here, used ones included until they expire. */
  readonly tickets: number
  readonly topics: number
  /** Users and addresses for which connections or messages are counted. */
  readonly counted: { readonly users: number; readonly ips: number; readonly messageLimits: number }
}

export function statsOf({ hosts, gate, store, limits, routeLimits }: RouteScope): Stats {
  const all = [...hosts]
  const { users, ips } = ConnectionLimits.countKeys([limits, ...routeLimits])
  return {
    connections: sum(all.map(({ registry }) => registry.size)),
    pendingHandshakes: gate.pending,
    tickets: store.size(),
    topics: sum(all.map(({ topics }) => topics.size)),
    counted: { users, ips, messageLimits: sum(all.flatMap(({ table }) => table.swept.map(({ size }) => size))) }
  }
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
