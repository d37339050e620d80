import { ConnectionLimits } from './capacity/connection-limits.js'
import type { RouteTotals } from './metrics/route-metrics.js'
import type { RouteScope } from './route/route-scope.js'

/** What there is on this node at the moment, and what has happened. */
export interface Stats {
  readonly connections: number
  /** Handshakes under way on the whole server. */
  readonly pendingHandshakes: number
  /** Tickets kept here, used ones included until they expire. */
  readonly tickets: number
  readonly topics: number
  /** Users and addresses for which connections or messages are counted. */
  readonly counted: { readonly users: number; readonly ips: number; readonly messageLimits: number }
  readonly totals: Totals
}

/** What has happened on this node since it started. Numbers only grow. */
export interface Totals {
  /** By route: its address, and its constraints where it has some. */
  readonly routes: Readonly<Record<string, RouteTotals>>
  /** Handshakes that were over before a route answered them: `abandoned` by the client, or refused, by code. */
  readonly handshakes: Readonly<Record<string, number>>
  /** Tickets that expired unused; undefined where the store can't know, as with Redis. */
  readonly ticketsExpired: number | undefined
}

export function statsOf({ hosts, gate, store, limits, routeLimits }: RouteScope): Stats {
  const all = [...hosts]
  const { users, ips } = ConnectionLimits.countKeys([limits, ...routeLimits])
  return {
    connections: sum(all.map(({ registry }) => registry.size)),
    pendingHandshakes: gate.pending,
    tickets: store.size(),
    topics: sum(all.map(({ topics }) => topics.size)),
    counted: { users, ips, messageLimits: sum(all.flatMap(({ table }) => table.swept.map(({ size }) => size))) },
    totals: {
      routes: Object.fromEntries(all.map(({ id, metrics, registry }) => [id, metrics.snapshot(registry.all().map(({ bytes }) => bytes))])),
      handshakes: gate.ended,
      ticketsExpired: store.expired?.()
    }
  }
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
