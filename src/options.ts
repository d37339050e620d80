import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { type Clock, systemClock } from './clock.js'
import { fail } from './errors.js'
import type { TraceMessage } from './metrics/trace.js'
import { callable, duration, durationOrOff, flag, optionParser, secretSuchThat, suchThat, toMs, whole } from './option-schema.js'
import { isRedisClient, type RedisClient } from './redis/client.js'
import { isSerializedOrigin } from './serialized-origin.js'
import type { TicketStore } from './ticket/store.js'
import type { Claims } from './user.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const rateShape = Type.Object(
  {
    /** How many there may be in the time window. */
    max: whole(1, 1_000_000),
    /** The time in which `max` come back. */
    timeWindow: duration(1, DAY),
    /** How many there may be at once after a pause. Default: `max`. */
    burst: Type.Optional(whole(1, 1_000_000))
  },
  { additionalProperties: false, description: '{ max, timeWindow, burst? }' }
)

const requestRateShape = Type.Object(
  { max: whole(1, 1_000_000), timeWindow: duration(1000, DAY) },
  { additionalProperties: false, description: '{ max, timeWindow }' }
)

const capFields = {
  /** Open connections in all. */
  maxConnections: whole(1, 10_000_000, 10_000),
  /** Open connections from one address (IPv6: one /64). */
  maxConnectionsPerIp: whole(1, 10_000_000, 100),
  /** Open connections of one user. */
  maxConnectionsPerUser: whole(1, 10_000_000, 10)
}

const connectionFields = {
  /** All messages of one connection. */
  rateLimit: Type.Object(rateShape.properties, { ...rateShape, default: { max: 20, timeWindow: 1000, burst: 40 } }),
  /** Messages over a limit before the connection is closed with 4429. */
  limitViolations: Type.Object(rateShape.properties, { ...rateShape, default: { max: 100, timeWindow: MINUTE } }),
  /** Messages that are not acceptable before the connection is closed with 4400. */
  badMessages: Type.Object(rateShape.properties, { ...rateShape, default: { max: 10, timeWindow: MINUTE } }),
  /** Frames that complete no message (pings, pongs, fragments) before the connection is closed with 4429. */
  frameLimit: Type.Object(rateShape.properties, { ...rateShape, default: { max: 50, timeWindow: 1000, burst: 200 } }),
  /** `$refresh` of one connection: each may ask the ticket store. */
  refreshLimit: Type.Object(rateShape.properties, { ...rateShape, default: { max: 10, timeWindow: MINUTE } }),
  /** Bytes of one message; more is closed with 1009. */
  maxPayload: whole(1, 104_857_600, 65_536),
  /** How long a message may take from its first byte to its last; then 4408. */
  messageTimeout: duration(100, HOUR, 20_000),
  /** How deep the JSON of a message may be nested. */
  maxDepth: whole(1, 1000, 16),
  /** Handlers of one connection that run at a time; with 1, messages are handled strictly in order. */
  inFlight: whole(1, 64, 1),
  /** Messages of one connection that may wait for a running handler; one more is refused. */
  maxQueued: whole(0, 1000, 32),
  /** How long a handler may take before the client is told 503. */
  handlerTimeout: duration(10, HOUR, 10_000),
  /** Bytes that may wait for a slow reader; more is closed with 1013. */
  maxBuffered: whole(1024, 1_073_741_824, 1_048_576),
  /** How often a ping is sent. */
  pingInterval: duration(100, HOUR, 25_000),
  /** How long the pong may take; then 4408. */
  pongTimeout: duration(100, HOUR, 10_000),
  /** How long a client may send no message; then 4408. */
  idleTimeout: durationOrOff(100, DAY),
  /** How long a session lasts at most, however long its JWT. */
  maxSession: duration(1000, 30 * DAY, HOUR),
  /** How long before its end `$expiring` is sent; at most half of the session. */
  expiryNotice: duration(100, DAY, MINUTE),
  /** How long the client may take to answer a close frame, and at shutdown a running handler to finish. */
  closeTimeout: duration(10, MINUTE, 2000)
}

/** Nothing that would be a pattern or a hash tag to Redis. */
function isRedisPrefix(value: unknown): boolean {
  return typeof value === 'string' && /^[\w.:/-]{1,64}$/.test(value)
}

const pluginShape = Type.Object(
  {
    /** The origins whose pages may connect, each exactly as a browser sends it. */
    allowedOrigins: Type.Array(Type.Refine(Type.String(), isSerializedOrigin), {
      description:
        "a list of origins exactly as browsers send them, such as 'https://app.example.com', without wildcard, path or slash at the end"
    }),
    /** Lets in clients that send no Origin, as programs other than browsers do. */
    allowMissingOrigin: flag(false),
    /** Lets in clients that come without TLS from elsewhere than a loopback address. */
    allowInsecure: flag(false),
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
    /** Upgrades from one address (IPv6: one /64). */
    upgradePerIp: Type.Object(requestRateShape.properties, { ...requestRateShape, default: { max: 60, timeWindow: MINUTE } }),
    /** Handshakes under way at a time, on the whole server. */
    maxPendingHandshakes: whole(1, 1_000_000, 256),
    /** How long a handshake may take, the app's own hooks included. */
    handshakeTimeout: duration(50, MINUTE, 5000),
    /** Headers that an upgrade may have. */
    maxHeaders: whole(10, 900, 100),
    /** Verifies who asks for a ticket and returns the claims. Default: `request.jwtVerify()`. */
    authenticate: Type.Optional(callable<(request: FastifyRequest) => unknown>('a function of the request that returns the claims')),
    /** The user's id from the claims, for limits, `send` and `disconnect`. Default: `claims.sub`. */
    userId: Type.Optional(callable<(claims: Claims) => string>('a function of the claims that returns the id of the user')),
    /** Where tickets are kept. Default: the memory of the process. */
    store: Type.Optional(callable<TicketStore>('a ticket store', ['issue', 'find', 'redeem', 'voidUser', 'size', 'close'])),
    /** Shares tickets, limits per user and address, connections per user, publish and disconnect among all nodes. */
    redis: Type.Optional(secretSuchThat<RedisClient>(isRedisClient, 'a client of ioredis 5 or 6, or of iovalkey')),
    /** What all keys and channels in Redis begin with. Apps that share a Redis need different ones. */
    redisPrefix: suchThat<string>(isRedisPrefix, 'a text of 1 to 64 letters, digits and . _ : / -', 'fastify-ws-ticket'),
    /** How long Redis may take to answer. */
    redisTimeout: duration(10, MINUTE, 500),
    /** Replicas that must have got a redemption before it lets anybody in. Not with a Cluster. */
    redisReplicas: whole(0, 10, 0),
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
const parseRateOptions = optionParser(rateShape)

type FilledOptions = Static<typeof pluginShape>

/** The options of `app.register(wsTicket, options)`. */
export type WsTicketOptions = Partial<FilledOptions> & Pick<FilledOptions, 'allowedOrigins'>

/** The options of the plugin that a route may set for itself. */
export type RouteLimits = Partial<Static<typeof routeShape>>

/** A rate of messages: `max` in each `timeWindow`, `burst` of them at once. */
export type Rate = Static<typeof rateShape>

/** A rate with its defaults filled in. */
export interface RateSettings {
  readonly max: number
  readonly timeWindowMs: number
  readonly burst: number
}

/** How many connections there may be. */
export interface ConnectionCaps {
  readonly total: number
  readonly perIp: number
  readonly perUser: number
}

/** What holds for each connection of a route. */
export interface ConnectionSettings {
  readonly rateLimit: RateSettings
  readonly limitViolations: RateSettings
  readonly badMessages: RateSettings
  readonly frameLimit: RateSettings
  readonly refreshLimit: RateSettings
  readonly maxPayload: number
  readonly messageTimeoutMs: number
  readonly maxDepth: number
  readonly inFlight: number
  readonly maxQueued: number
  readonly handlerTimeoutMs: number
  readonly maxBuffered: number
  readonly pingIntervalMs: number
  readonly pongTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxSessionMs: number
  readonly expiryNoticeMs: number
  readonly closeTimeoutMs: number
}

/** What holds for all routes of one registration. */
export interface Settings {
  readonly allowedOrigins: ReadonlySet<string>
  readonly allowMissingOrigin: boolean
  readonly allowInsecure: boolean
  readonly ticketInSubprotocol: boolean
  readonly ticketInQuery: boolean
  readonly ticketTtlMs: number
  readonly maxTicketsPerUser: number
  readonly maxTickets: number
  readonly bindTicketToIp: boolean
  readonly replay: 'log' | 'disconnect'
  readonly issuePerUser: RateSettings
  readonly issuePerIp: RateSettings
  readonly upgradePerIp: RateSettings
  readonly maxPendingHandshakes: number
  readonly handshakeTimeoutMs: number
  readonly maxHeaders: number
  readonly authenticate: ((request: FastifyRequest) => unknown) | undefined
  readonly userId: (claims: Claims) => unknown
  readonly store: TicketStore | undefined
  readonly redis: RedisClient | undefined
  readonly redisPrefix: string
  readonly redisTimeoutMs: number
  readonly redisReplicas: number
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
  if (given.allowedOrigins.length === 0 && !given.allowMissingOrigin) {
    throw fail('INVALID_OPTION', ["'allowedOrigins' is []; allowed: at least one origin, or none with allowMissingOrigin."])
  }
  if (given.redisReplicas > 0 && given.redis?.isCluster) {
    throw fail('INVALID_OPTION', [
      `'redisReplicas' is ${given.redisReplicas}; allowed: 0 with a Cluster, where min-replicas-to-write does it.`
    ])
  }
  return Object.freeze({
    allowedOrigins: new Set(given.allowedOrigins),
    allowMissingOrigin: given.allowMissingOrigin,
    allowInsecure: given.allowInsecure,
    ticketInSubprotocol: given.ticketTransport.includes('subprotocol'),
    ticketInQuery: given.ticketTransport.includes('query'),
    ticketTtlMs: toMs(given.ticketTtl),
    maxTicketsPerUser: given.maxTicketsPerUser,
    maxTickets: given.maxTickets,
    bindTicketToIp: given.bindTicketToIp,
    replay: given.replay,
    issuePerUser: rateSettings(given.issuePerUser),
    issuePerIp: rateSettings(given.issuePerIp),
    upgradePerIp: rateSettings(given.upgradePerIp),
    maxPendingHandshakes: given.maxPendingHandshakes,
    handshakeTimeoutMs: toMs(given.handshakeTimeout),
    maxHeaders: given.maxHeaders,
    authenticate: given.authenticate,
    userId: given.userId ?? ((claims) => claims.sub),
    store: given.store,
    redis: given.redis,
    redisPrefix: given.redisPrefix,
    redisTimeoutMs: toMs(given.redisTimeout),
    redisReplicas: given.redisReplicas,
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

/**
 * The rate limit of one message type.
 * @throws FST_WS_TICKET_INVALID_OPTION
 */
export function parseRate(where: string, rate: unknown): RateSettings {
  return rateSettings(parseRateOptions(rate, `${where}: `))
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

function rateSettings(rate: Rate): RateSettings {
  return Object.freeze({ max: rate.max, timeWindowMs: toMs(rate.timeWindow), burst: rate.burst ?? rate.max })
}

function capSettings(given: Static<typeof routeShape>): ConnectionCaps {
  return Object.freeze({ total: given.maxConnections, perIp: given.maxConnectionsPerIp, perUser: given.maxConnectionsPerUser })
}

function connectionSettings(given: Static<typeof routeShape>): ConnectionSettings {
  return Object.freeze({
    rateLimit: rateSettings(given.rateLimit),
    limitViolations: rateSettings(given.limitViolations),
    badMessages: rateSettings(given.badMessages),
    frameLimit: rateSettings(given.frameLimit),
    refreshLimit: rateSettings(given.refreshLimit),
    maxPayload: given.maxPayload,
    messageTimeoutMs: toMs(given.messageTimeout),
    maxDepth: given.maxDepth,
    inFlight: given.inFlight,
    maxQueued: given.maxQueued,
    handlerTimeoutMs: toMs(given.handlerTimeout),
    maxBuffered: given.maxBuffered,
    pingIntervalMs: toMs(given.pingInterval),
    pongTimeoutMs: toMs(given.pongTimeout),
    idleTimeoutMs: given.idleTimeout === false ? Number.POSITIVE_INFINITY : toMs(given.idleTimeout),
    maxSessionMs: toMs(given.maxSession),
    expiryNoticeMs: toMs(given.expiryNotice),
    closeTimeoutMs: toMs(given.closeTimeout)
  })
}
