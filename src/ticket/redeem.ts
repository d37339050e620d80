import type { FastifyBaseLogger } from 'fastify'
import { codeOf, fail } from '../errors.js'
import { logFailure } from '../log-failure.js'
import type { RouteMetrics } from '../metrics/route-metrics.js'
import type { FindOutcome, TicketRecord, TicketStore } from './store.js'
import { isFindOutcome } from './store-answer.js'
import { hashTicket, isTicketFormat } from './ticket.js'

/** Where a ticket is presented; it must have been issued for just that. */
export interface Presented {
  readonly ticket: string
  readonly route: string
  readonly path: string
  readonly origin: string | null
  readonly ipKey: string
  /** The id of the connection that uses the ticket. */
  readonly connection: string
  /** Does the connection exist already? */
  readonly isRefresh: boolean
}

/** What redeeming needs. */
export interface RedeemStage {
  readonly store: TicketStore
  readonly log: FastifyBaseLogger
  readonly metrics: RouteMetrics
  /** A ticket was used again; `connection` is the one that used it first. */
  replayed(connection: string, record: TicketRecord): void
}

/**
 * Uses a ticket up, if it is good for where it is presented. Unknown, used, expired and foreign tickets are refused
 * alike; a ticket that is refused for where it is presented, or by `beforeUse`, stays good.
 *
 * @param beforeUse the last check before the ticket is used; refuses by throwing
 * @throws FST_WS_TICKET_INVALID_TICKET; FST_WS_TICKET_UNAVAILABLE when the store fails
 */
export async function redeem(
  stage: RedeemStage,
  presented: Presented,
  beforeUse: (record: TicketRecord) => unknown
): Promise<TicketRecord> {
  if (!isTicketFormat(presented.ticket)) throw refusal(stage)
  const hash = hashTicket(presented.ticket)
  const found = liveRecord(stage, await ask(stage, () => stage.store.find(hash)))
  if (!isFor(found, presented)) throw refusal(stage)
  await beforeUse(found)
  const used = liveRecord(stage, await ask(stage, () => stage.store.redeem(hash, presented.connection)))
  // what was used is what was looked at, or the store is broken
  if (!isFor(used, presented) || used.userId !== found.userId) throw broken(stage, new Error('the ticket store answered another ticket'))
  stage.metrics.ticketPresented('redeemed')
  return used
}

function liveRecord(stage: RedeemStage, found: FindOutcome): TicketRecord {
  if (found.outcome === 'live') return found.record
  if (found.outcome !== 'used') throw refusal(stage)
  reportReplay(stage, found.usedBy, found.record)
  throw refusal(stage, 'replayed')
}

function refusal({ metrics }: RedeemStage, outcome: 'refused' | 'replayed' = 'refused'): Error {
  metrics.ticketPresented(outcome)
  return fail('INVALID_TICKET')
}

function reportReplay(stage: RedeemStage, usedBy: string, record: TicketRecord): void {
  stage.log.warn(
    { code: codeOf('TICKET_REPLAYED'), user: record.userId, connection: usedBy, route: record.route },
    'a ticket was used again'
  )
  stage.replayed(usedBy, record)
}

function isFor(record: TicketRecord, presented: Presented): boolean {
  if (record.route !== presented.route || record.path !== presented.path || record.origin !== presented.origin) return false
  if (record.ip !== null && record.ip !== presented.ipKey) return false
  return record.refreshes === null || (presented.isRefresh && record.refreshes === presented.connection)
}

/** The store's answer; when it fails, or answers what no store may, nobody gets in. */
async function ask(stage: RedeemStage, question: () => Promise<FindOutcome>): Promise<FindOutcome> {
  try {
    const answer: unknown = await question()
    if (isFindOutcome(answer)) return answer
    throw new Error('the ticket store answered what is no outcome')
  } catch (error) {
    throw broken(stage, error)
  }
}

function broken(stage: RedeemStage, error: unknown): Error {
  logFailure(stage.log, error, 'the ticket store failed')
  return fail('UNAVAILABLE', [], { retryAfterMs: 1000, cause: error })
}
