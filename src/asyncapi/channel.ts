import { escapePointer } from '../json-pointer.js'
import type { TypeRate } from '../message/messages.js'
import type { RateSettings, Settings } from '../options.js'
import { ticketPathOf } from '../route/address.js'
import type { DescribedRoute } from '../route/described-route.js'
import { type Address, addressOf } from './address.js'
import { parametersOf, ticketSecurity, webSocketBinding } from './handshake.js'
import type { AsyncApiChannel, DescribedLimits, DescribedRate, DescribedTicketRoute } from './types.js'

export interface ChannelPlace {
  readonly key: string
  readonly settings: Settings
  /** The address of the OpenAPI document. */
  readonly openapi: string | undefined
}

/** The channel of a route, without its messages. */
export function channelOf(route: DescribedRoute, { key, settings, openapi }: ChannelPlace): Omit<AsyncApiChannel, 'messages'> {
  const address = addressOf(route.address)
  const ticket = ticketRouteOf(address, settings, openapi)
  const parameters = parametersOf(`#/channels/${key}/parameters`, address, route)
  const constraints = Object.entries(route.constraints).map(([name, value]) => [name, String(value)] as const)
  const { tags } = route.schema
  return {
    address: address.template,
    description: `A WebSocket at GET ${address.template}, opened with a ticket of POST ${ticket.path}.`,
    ...(parameters && { parameters }),
    ...(tags && { tags: [...new Set(tags)].map((name) => ({ name })) }),
    ...(ticket.openapi !== undefined &&
      URL.canParse(ticket.openapi) && { externalDocs: { description: 'The ticket route in OpenAPI', url: ticket.openapi } }),
    bindings: webSocketBinding(`#/channels/${key}/bindings/ws`, route, settings),
    'x-ticket': ticket,
    'x-limits': limitsOf(route),
    ...(constraints.length > 0 && { 'x-constraints': Object.fromEntries(constraints) })
  }
}

function ticketRouteOf({ template }: Address, settings: Settings, openapi: string | undefined): DescribedTicketRoute {
  const path = ticketPathOf(template)
  return {
    method: 'POST',
    path,
    security: ticketSecurity(settings),
    ...(openapi !== undefined && { openapi: `${openapi}#/paths/${encodeURIComponent(escapePointer(path))}/post` })
  }
}

function limitsOf({ settings, caps }: DescribedRoute): DescribedLimits {
  return {
    rateLimit: rateOf(settings.rateLimit),
    maxPayload: settings.maxPayload,
    maxDepth: settings.maxDepth,
    inFlight: settings.inFlight,
    maxQueued: settings.maxQueued,
    messageTimeout: settings.messageTimeoutMs,
    handlerTimeout: settings.handlerTimeoutMs,
    // no number is what is off
    idleTimeout: Number.isFinite(settings.idleTimeoutMs) ? settings.idleTimeoutMs : false,
    maxSession: settings.maxSessionMs,
    maxConnectionsPerUser: caps.perUser
  }
}

export function rateOf({ max, timeWindowMs, burst, per = 'connection' }: RateSettings & Partial<TypeRate>): DescribedRate {
  return { max, timeWindow: timeWindowMs, burst, per }
}
