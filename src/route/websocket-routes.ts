import { subscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import { fail } from '../errors.js'
import type { UpgradeGate } from '../upgrade/gate.js'
import { type OpenStage, redeemAndUpgrade } from '../upgrade/open.js'

/** Where a route of ours carries its stage, in Fastify's `config`. */
const kStage = Symbol('fastify-ws-ticket.stage')

/** Whether a route is for WebSockets, in Fastify's `config`. */
const kIsWebSocket = Symbol('fastify-ws-ticket.is-websocket')

interface MarkedConfig {
  [kStage]?: OpenStage
  [kIsWebSocket]?: boolean
}

/** Servers whose routes have all been marked, from the first on. */
const marked = new WeakSet<object>()

/** Fastify tells of each new instance; so routes that are declared before this plugin is registered are known too. */
subscribe('fastify.initialization', (message) => {
  const app: unknown = Reflect.get(Object(message), 'fastify')
  if (!isFastify(app)) return
  marked.add(app.server)
  app.addHook('onRoute', (route) => {
    if (isForWebSockets(route)) route.config = withMark(route.config, true)
  })
})

/** A route's config with what makes it a route of ours. */
export function withStage<Config extends object>(config: Config | undefined, stage: OpenStage): Config & MarkedConfig {
  return Object.assign({}, config, { [kStage]: stage })
}

/** Is this request an upgrade of a route of ours, and still under way? */
export function isTicketUpgrade(gate: UpgradeGate, request: FastifyRequest): boolean {
  return marksOf(request.routeOptions.config)[kStage] !== undefined && gate.handshakeOf(request.raw) !== undefined
}

/**
 * Sees to it that an upgrade is answered 101 on WebSocket routes only, and on ours only once the ticket is redeemed.
 * Must be called after @fastify/websocket is registered, since it works on the handlers which that has made.
 */
export function guardWebSocketRoutes(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    route.config = withMark(route.config, isForWebSockets(route))
    const { [kStage]: stage } = marksOf(route.config)
    if (stage) redeemFirst(route, stage)
  })
  app.addHook('onRequest', (request, reply, done) => {
    if (!request.ws) return done()
    reply.header('connection', 'close')
    done(isWebSocketRoute(request, marked.has(app.server)) ? undefined : fail('NO_WEBSOCKET_ROUTE'))
  })
}

/** Stages whose routes redeem already: a scope inside of one that has the plugin, too, has the hooks of both. */
const redeeming = new WeakSet<OpenStage>()

function redeemFirst(route: RouteOptions, stage: OpenStage): void {
  if (redeeming.has(stage)) return
  redeeming.add(stage)
  const { handler } = route
  // what is no upgrade is refused in onRequest already
  route.handler = async function (request, reply) {
    return redeemAndUpgrade(stage, request, reply, () => handler.call(this, request, reply))
  }
}

function isForWebSockets(route: RouteOptions): boolean {
  return Boolean(route.websocket || route.wsHandler)
}

function withMark<Config extends object>(config: Config | undefined, isWebSocket: boolean): Config & MarkedConfig {
  return Object.assign({}, config, { [kIsWebSocket]: isWebSocket })
}

function isFastify(value: unknown): value is FastifyInstance {
  return typeof value === 'object' && value !== null && 'addHook' in value
}

function isWebSocketRoute(request: FastifyRequest, isServerMarked: boolean): boolean {
  const mark = marksOf(request.routeOptions.config)[kIsWebSocket]
  if (mark !== undefined || isServerMarked) return mark === true
  // perhaps declared before us: @fastify/websocket hides its routes from the documentation, and no other sign is left
  const schema: unknown = request.routeOptions.schema
  return typeof schema === 'object' && schema !== null && 'hide' in schema && schema.hide === true
}

function marksOf(config: unknown): MarkedConfig {
  return Object(config)
}
