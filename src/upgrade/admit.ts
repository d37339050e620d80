import { randomUUID } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { ConnectionLimits } from '../capacity/connection-limits.js'
import type { Admission } from '../connection/admission.js'
import { type ErrorDetails, fail } from '../errors.js'
import type { SweptLimit } from '../message/limit.js'
import type { Settings } from '../options.js'
import { SUBPROTOCOL } from '../protocol.js'
import { ipKeyOf, type RequestRate } from '../request-rate/request-rate.js'
import { pathOf } from '../ticket/path.js'
import { type Presented, type RedeemStage, redeem } from '../ticket/redeem.js'
import type { TicketRecord } from '../ticket/store.js'
import { isTicketFormat } from '../ticket/ticket.js'
import type { UpgradeGate } from './gate.js'
import { checkVersionAndKey, type Handshake } from './handshake.js'
import { checkOrigin } from './origin.js'
import { redactTicket } from './redact.js'
import { checkSecureChannel } from './secure-channel.js'

/** What letting an upgrade in needs. */
export interface AdmitStage extends RedeemStage {
  readonly route: string
  readonly settings: Settings
  readonly gate: UpgradeGate
  readonly limits: ConnectionLimits
  readonly perIp: RequestRate
  /** The limits on messages that count a user's or an address' connections together. */
  readonly sharedLimits: readonly SweptLimit[]
  /** Was the user or the connection disconnected since? */
  wasDisconnected(userId: string, connection: string, since: number): boolean
}

/** The handshake of an upgrade that is still under way. */
export function handshakeOf(stage: AdmitStage, request: FastifyRequest): Handshake {
  const handshake = stage.gate.handshakeOf(request.raw)
  if (!handshake) throw fail('UPGRADE_REQUIRED', [], upgradeHeaders(request))
  return handshake
}

/** HTTP/2 knows no upgrade, and refuses to send these (RFC 9113, section 8.2.2). */
function upgradeHeaders({ raw }: FastifyRequest): ErrorDetails {
  return raw.httpVersionMajor >= 2 ? {} : { headers: { upgrade: 'websocket', connection: 'upgrade, close' } }
}

/** Who is let in; what the handshake holds for it is handed over once the connection is there. */
export type Admitted = Omit<Admission, 'release'>

/** Everything that can be checked before the app's own hooks, cheapest first. The ticket is not looked at but in form. */
export async function checkUpgrade(stage: AdmitStage, request: FastifyRequest): Promise<void> {
  // first, since a ticket that came with a request of another kind is as secret
  const queryTicket = takeQueryTicket(request)
  const handshake = handshakeOf(stage, request)
  checkVersionAndKey(request.raw)
  checkSecureChannel(request, stage.settings)
  checkOrigin(request.headers.origin, stage.settings)
  const ticket = theTicket(stage.settings, handshake, queryTicket, request)
  await stage.perIp(request)
  handshake.hold(stage.limits.takeTotal())
  handshake.hold(stage.limits.takeIp(ipKeyOf(request)))
  if (!isTicketFormat(ticket)) throw fail('INVALID_TICKET')
  if (!handshake.isOfferSound) throw fail('BAD_HANDSHAKE', ['Sec-WebSocket-Protocol is not a list of different names'])
  handshake.ticket = ticket
}

/**
 * Redeems the ticket, after everything else that can refuse.
 * @returns undefined when the client is gone or was told otherwise meanwhile
 */
export async function admit(stage: AdmitStage, request: FastifyRequest, handshake: Handshake): Promise<Admitted | undefined> {
  const id = randomUUID()
  const ipKey = ipKeyOf(request)
  const presented = {
    ticket: handshake.ticket,
    route: stage.route,
    path: pathOf(request.params),
    origin: request.headers.origin ?? null,
    ipKey,
    connection: id,
    isRefresh: false
  }
  const record = await redeemFor(stage, presented, handshake)
  if (record === undefined || !handshake.isPending) return undefined
  if (stage.wasDisconnected(record.userId, id, handshake.startedAt)) throw fail('INVALID_TICKET')
  return {
    id,
    user: record.user,
    userId: record.userId,
    context: record.context,
    params: { ...Object(request.params) },
    path: presented.path,
    origin: presented.origin,
    ip: request.ip,
    ipKey,
    authenticatedUntil: record.authenticatedUntil
  }
}

/** Undefined where nobody waits for the answer any more; then the ticket stays good, unless it is being used already. */
async function redeemFor(stage: AdmitStage, presented: Presented, handshake: Handshake): Promise<TicketRecord | undefined> {
  try {
    return await redeem(stage, presented, async ({ userId }) => {
      if (!handshake.isPending) throw fail('UNAVAILABLE')
      const prepared = stage.sharedLimits.map((limit) => limit.prepare?.({ userId, ipKey: presented.ipKey }))
      handshake.hold(await stage.limits.takeUser(userId))
      await Promise.all(prepared)
      if (!handshake.isPending) throw fail('UNAVAILABLE')
    })
  } catch (error) {
    if (handshake.isPending) throw error
    return undefined
  }
}

function theTicket(
  { ticketInQuery, ticketInSubprotocol }: Settings,
  { offeredTickets }: Handshake,
  queryTicket: unknown,
  request: FastifyRequest
): string {
  if (queryTicket !== undefined && !ticketInQuery) throw fail('MISPLACED_TICKET', ['A ticket in the query is not accepted'])
  if (offeredTickets.length > 0 && !ticketInSubprotocol) throw fail('MISPLACED_TICKET', ['A ticket in a subprotocol is not accepted here'])
  if (Array.isArray(queryTicket)) throw fail('MISPLACED_TICKET', ['There is more than one ticket'])
  const offered = queryTicket === undefined ? offeredTickets : [...offeredTickets, String(queryTicket)]
  if (offered.length > 1) throw fail('MISPLACED_TICKET', ['There is more than one ticket'])
  checkSubprotocol(request)
  return offered.join('')
}

/** A client that offers subprotocols must be answered with one, and ours is the only one there is. */
function checkSubprotocol(request: FastifyRequest): void {
  const offered = request.headers['sec-websocket-protocol']
  if (offered === undefined) return
  const names = offered.split(',').map((name) => name.trim())
  if (!names.includes(SUBPROTOCOL)) throw fail('BAD_HANDSHAKE', [`the subprotocol '${SUBPROTOCOL}' is not offered`])
  request.raw.headers['sec-websocket-protocol'] = SUBPROTOCOL
}

/** Takes the ticket out of the query and the URL, so that none of the route's hooks and handlers sees it. */
function takeQueryTicket(request: FastifyRequest): unknown {
  const query = request.query
  if (typeof query !== 'object' || query === null || !('ticket' in query)) return undefined
  const { ticket } = query
  delete query.ticket
  request.raw.url = redactTicket(request.url)
  // where Fastify keeps what it was before an app rewrote it
  if ('originalUrl' in request.raw) request.raw.originalUrl = redactTicket(String(request.raw.originalUrl))
  return ticket
}
