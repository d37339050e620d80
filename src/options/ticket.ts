import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { callable, duration, flag, toMs, whole } from '../option-schema.js'
import type { TicketStore } from '../ticket/store.js'
import type { Claims } from '../user.js'
import { type RateSettings, rateSettings, requestRateShape } from './rate.js'
import { MINUTE } from './times.js'

export const ticketFields = {
  /** Where an upgrade may carry its ticket. */
  ticketTransport: Type.Array(Type.Union([Type.Literal('subprotocol'), Type.Literal('query')]), {
    minItems: 1,
    uniqueItems: true,
    default: ['subprotocol'],
    description: "a list of 'subprotocol' and 'query'"
  }),
  /** How long a ticket lives, never beyond the JWT. */
  ticketTtl: duration(1000, MINUTE, 30_000),
  /** Unused tickets that a user may have at a time. */
  maxTicketsPerUser: whole(1, 1000, 10),
  /** Tickets that the memory store holds at most, used ones included until they expire. */
  maxTickets: whole(1, 10_000_000, 100_000),
  /** Binds a ticket to the address that asked for it (IPv6: its /64). */
  bindTicketToIp: flag(false),
  /** What happens when a ticket is used again: it is logged, and with 'disconnect' its first connection is closed (4409). */
  replay: Type.Union([Type.Literal('log'), Type.Literal('disconnect')], { default: 'log', description: "'log' or 'disconnect'" }),
  /** Tickets that one user may ask for. */
  issuePerUser: Type.Object(requestRateShape.properties, { ...requestRateShape, default: { max: 30, timeWindow: MINUTE } }),
  /** Ticket requests from one address (IPv6: one /64). */
  issuePerIp: Type.Object(requestRateShape.properties, { ...requestRateShape, default: { max: 60, timeWindow: MINUTE } }),
  /** Verifies who asks for a ticket and returns the claims. Default: `request.jwtVerify()`. */
  authenticate: Type.Optional(callable<(request: FastifyRequest) => unknown>('a function of the request that returns the claims')),
  /** The user's id from the claims, for limits, `send` and `disconnect`. Default: `claims.sub`. */
  userId: Type.Optional(callable<(claims: Claims) => string>('a function of the claims that returns the id of the user')),
  /** Where tickets are kept. Default: the memory of the process. */
  store: Type.Optional(callable<TicketStore>('a ticket store', ['issue', 'find', 'redeem', 'voidUser', 'size', 'close']))
}

/** Who gets a ticket, what it is good for, and where it is kept. */
export interface TicketSettings {
  readonly ticketInSubprotocol: boolean
  readonly ticketInQuery: boolean
  readonly ticketTtlMs: number
  readonly maxTicketsPerUser: number
  readonly maxTickets: number
  readonly bindTicketToIp: boolean
  readonly replay: 'log' | 'disconnect'
  readonly issuePerUser: RateSettings
  readonly issuePerIp: RateSettings
  readonly authenticate: ((request: FastifyRequest) => unknown) | undefined
  readonly userId: (claims: Claims) => unknown
  readonly store: TicketStore | undefined
}

export function ticketSettings(given: Static<Type.TObject<typeof ticketFields>>): TicketSettings {
  return {
    ticketInSubprotocol: given.ticketTransport.includes('subprotocol'),
    ticketInQuery: given.ticketTransport.includes('query'),
    ticketTtlMs: toMs(given.ticketTtl),
    maxTicketsPerUser: given.maxTicketsPerUser,
    maxTickets: given.maxTickets,
    bindTicketToIp: given.bindTicketToIp,
    replay: given.replay,
    issuePerUser: rateSettings(given.issuePerUser),
    issuePerIp: rateSettings(given.issuePerIp),
    authenticate: given.authenticate,
    userId: given.userId ?? ((claims) => claims.sub),
    store: given.store
  }
}
