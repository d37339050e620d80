import type { Stats } from '../stats.js'
import type { RouteTotals } from './route-metrics.js'

/** One number of a family, told from the others by its labels. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Numbers of one kind, as Prometheus and OpenTelemetry know them. */
export interface Family {
  /** In the way of Prometheus: a counter ends in `_total`. */
  readonly name: string
  readonly help: string
  readonly kind: 'gauge' | 'counter'
  readonly labels: readonly string[]
  read(stats: Stats): Sample[]
}

export const FAMILIES: readonly Family[] = [
  gauge('connections', 'Open connections.', ({ connections }) => connections),
  gauge('pending_handshakes', 'Handshakes under way on the server.', ({ pendingHandshakes }) => pendingHandshakes),
  gauge('kept_tickets', 'Tickets kept on this node, used ones included until they expire.', ({ tickets }) => tickets),
  gauge('topics', 'Topics with a subscriber on this node.', ({ topics }) => topics),
  counter(
    'tickets',
    'Requests for a ticket, by what became of them.',
    ['route', 'outcome'],
    ofRoutes('outcome', ({ tickets }) => tickets)
  ),
  counter('expired_tickets', 'Tickets that expired unused, where the store knows.', [], ({ totals }) => {
    return totals.ticketsExpired === undefined ? [] : [{ labels: {}, value: totals.ticketsExpired }]
  }),
  counter(
    'redemptions',
    'Tickets that were presented: redeemed, replayed or refused.',
    ['route', 'outcome'],
    ofRoutes('outcome', ({ redemptions }) => redemptions)
  ),
  counter('handshakes', 'Upgrades, by what became of them; without a route where none was reached.', ['route', 'outcome'], (stats) => [
    ...ofRoutes('outcome', ({ handshakes }) => handshakes)(stats),
    ...samplesOf(stats.totals.handshakes, 'outcome', { route: '' })
  ]),
  counter('messages', 'Messages from clients, by type and by what became of them.', ['route', 'type', 'outcome'], ({ totals }) =>
    Object.entries(totals.routes).flatMap(([route, { messages }]) =>
      Object.entries(messages).flatMap(([type, { outcomes }]) => samplesOf(outcomes, 'outcome', { route, type }))
    )
  ),
  counter(
    'received_bytes',
    'Bytes that came from clients, frames and all.',
    ['route'],
    ofRoute(({ bytes }) => bytes.received)
  ),
  counter(
    'sent_bytes',
    'Bytes that were sent to clients, frames and all.',
    ['route'],
    ofRoute(({ bytes }) => bytes.sent)
  ),
  counter(
    'closes',
    'Connections that were closed, by close code.',
    ['route', 'code'],
    ofRoutes('code', ({ closes }) => closes)
  )
]

/** The time that handlers took, in seconds. */
export const HANDLER_SECONDS = {
  name: 'handler_seconds',
  help: 'How long handlers of messages took.',
  labels: ['route', 'type']
} as const

function gauge(name: string, help: string, of: (stats: Stats) => number): Family {
  return { name, help, kind: 'gauge', labels: [], read: (stats) => [{ labels: {}, value: of(stats) }] }
}

function counter(name: string, help: string, labels: readonly string[], read: Family['read']): Family {
  return { name: `${name}_total`, help, kind: 'counter', labels, read }
}

function ofRoutes(label: string, of: (totals: RouteTotals) => Readonly<Record<string, number>>): Family['read'] {
  return ({ totals }) => Object.entries(totals.routes).flatMap(([route, routeTotals]) => samplesOf(of(routeTotals), label, { route }))
}

function ofRoute(of: (totals: RouteTotals) => number): Family['read'] {
  return ({ totals }) => Object.entries(totals.routes).map(([route, routeTotals]) => ({ labels: { route }, value: of(routeTotals) }))
}

function samplesOf(counts: Readonly<Record<string, number>>, label: string, labels: Sample['labels']): Sample[] {
  return Object.entries(counts).map(([name, value]) => ({ labels: { ...labels, [label]: name }, value }))
}
