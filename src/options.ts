import Type, { type Static } from 'typebox'
import { type Clock, systemClock } from './clock.js'
import { fail } from './errors.js'
import type { TraceMessage } from './metrics/trace.js'
import { callable, optionParser } from './option-schema.js'
import { type ConnectionCaps, capFields, capSettings } from './options/caps.js'
import { type ConnectionSettings, connectionFields, connectionSettings } from './options/connection.js'
import { type HandshakeSettings, handshakeFields, handshakeSettings } from './options/handshake.js'
import { type RedisSettings, redisFields, redisSettings } from './options/redis.js'
import { type TicketSettings, ticketFields, ticketSettings } from './options/ticket.js'

export type { ConnectionCaps } from './options/caps.js'
export type { ConnectionSettings } from './options/connection.js'
export { parseRate, type Rate, type RateSettings } from './options/rate.js'

const pluginShape = Type.Object(
  {
    ...handshakeFields,
    ...ticketFields,
    ...redisFields,
    /** Where the time is taken from; for tests. Default: the machine's clocks. */
    clock: Type.Optional(callable<Clock>('a clock', ['now', 'wall', 'every'])),
    /** Runs around each handler, for tracing: `({ route, type, connection }, handle) => handle()`. */
    traceMessage: Type.Optional(callable<TraceMessage>('a function that calls its second argument and returns what that returns')),
    ...capFields,
    ...connectionFields
  },
  { additionalProperties: false }
)

const routeShape = Type.Object({ ...capFields, ...connectionFields }, { additionalProperties: false })

const parsePluginOptions = optionParser(pluginShape)
const parseRouteOptions = optionParser(routeShape)

type FilledOptions = Static<typeof pluginShape>

/** The options of `app.register(wsTicket, options)`. */
export type WsTicketOptions = Partial<FilledOptions> & Pick<FilledOptions, 'allowedOrigins'>

/** The options of the plugin that a route may set for itself. */
export type RouteLimits = Partial<Static<typeof routeShape>>

/** What holds for all routes of one registration. */
export interface Settings extends HandshakeSettings, TicketSettings, RedisSettings {
  readonly clock: Clock
  readonly traceMessage: TraceMessage | undefined
  readonly caps: ConnectionCaps
  readonly maxPayload: number
  /** What routes inherit. */
  readonly routeDefaults: Static<typeof routeShape>
}

/**
 * Turns the plugin's options into settings.
 * @throws FST_WS_TICKET_INVALID_OPTION naming the option, its value and what is allowed.
 */
export function parseOptions(options: unknown): Settings {
  const given = parsePluginOptions(options)
  return Object.freeze({
    ...handshakeSettings(given),
    ...ticketSettings(given),
    ...redisSettings(given),
    clock: given.clock ?? systemClock,
    traceMessage: given.traceMessage,
    caps: capSettings(given),
    maxPayload: given.maxPayload,
    routeDefaults: pickRouteOptions(given)
  })
}

/**
 * The settings of one route: the plugin's, with the route's own in their place.
 * @throws FST_WS_TICKET_INVALID_OPTION
 */
export function parseRouteLimits(route: string, settings: Settings, own: object): { caps: ConnectionCaps; connection: ConnectionSettings } {
  const given = parseRouteOptions({ ...settings.routeDefaults, ...own }, `${route}: `)
  if (given.maxPayload > settings.maxPayload) {
    throw fail('INVALID_OPTION', [
      `${route}: 'maxPayload' is ${given.maxPayload}; allowed: at most the plugin's maxPayload, ${settings.maxPayload}.`
    ])
  }
  return { caps: capSettings(given), connection: connectionSettings(given) }
}

/** The names of the options that a route may set for itself. */
export const routeOptionNames: readonly (keyof RouteLimits)[] = Object.keys(routeShape.properties).filter(isRouteOption)

function isRouteOption(name: string): name is keyof RouteLimits {
  return Object.hasOwn(routeShape.properties, name)
}

function pickRouteOptions(given: FilledOptions): Static<typeof routeShape> {
  const picked = Object.fromEntries(Object.entries(given).filter(([name]) => isRouteOption(name)))
  // what the app does to its own objects later must not change anything
  return parseRouteOptions(structuredClone(picked))
}
