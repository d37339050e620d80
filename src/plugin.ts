import fastifyHelmet from '@fastify/helmet'
import fastifyRateLimit from '@fastify/rate-limit'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { asyncApiDocument } from './asyncapi/document.js'
import type { AsyncApiInfo } from './asyncapi/info.js'
import { ConnectionLimits } from './capacity/connection-limits.js'
import { startRounds } from './connection/registry.js'
import { fail } from './errors.js'
import { tellExpiry } from './metrics/events.js'
import { parseOptions, type Settings, type WsTicketOptions } from './options.js'
import { createParts, type Parts } from './parts.js'
import { CloseCode } from './protocol.js'
import { Hub } from './publish/hub.js'
import { Publisher } from './publish/publisher.js'
import { rememberRegistration, takeScope } from './registered.js'
import { ipKeyOf, requestRate } from './request-rate/request-rate.js'
import { OwnAddresses } from './route/address.js'
import { declareRoute } from './route/declare-route.js'
import type { RouteDefaults, RouteScope } from './route/route-scope.js'
import { securityHeaders } from './route/security-headers.js'
import { guardWebSocketRoutes, isTicketUpgrade } from './route/websocket-routes.js'
import { statsOf } from './stats.js'
import { canAuthenticate } from './ticket/authenticate.js'
import { hasGuessableSecret } from './ticket/guessable-secret.js'
import { callerOf } from './ticket/issue.js'
import { checkServer } from './upgrade/app-server.js'
import { gateOf } from './upgrade/gate.js'
import { redactUnknownAddresses } from './upgrade/redact.js'

/**
 * The plugin. Registers @fastify/websocket, @fastify/rate-limit and @fastify/helmet where the app has not, and adds
 * `app.wsRoute`, `app.wsTicket` and `request.isTicketUpgrade`.
 *
 * @example await app.register(wsTicket, { allowedOrigins: ['https://app.example.com'] })
 * @throws FST_WS_TICKET_INVALID_OPTION, FST_WS_TICKET_ALREADY_REGISTERED, FST_WS_TICKET_MISSING_AUTHENTICATION,
 * FST_WS_TICKET_GUESSABLE_SECRET
 */
export const wsTicket = fp(register, { name: 'fastify-ws-ticket', fastify: '5.x' })

async function register(app: FastifyInstance, options: WsTicketOptions): Promise<void> {
  const settings = parseOptions(withoutRegisterOptions(options))
  takeScope(app)
  const registration = rememberRegistration(app.server, settings)
  const hub = new Hub(settings.clock)
  const parts = createParts(settings, { hub, log: app.log, onExpired: (route) => tellExpiry(app.wsTicket, route) })
  const routeDefaults = await registerFoundations(app, settings, parts)
  guardWebSocketRoutes(app)
  if (settings.ticketInQuery) redactUnknownAddresses(app)
  const scope = createScope(app, settings, { hub, parts, routeDefaults })
  app.addHook('onRoute', function (route) {
    scope.addresses.check(this, route)
  })
  const declaring = new Set<FastifyInstance>()
  app.decorate('wsRoute', function (path, routeOptions) {
    const route = declareRoute(this, scope, path, routeOptions)
    declaring.add(this)
    registration.routes.push({ address: `${this.prefix}${path}`, scope: this })
    return route
  })
  app.decorate(
    'wsTicket',
    Object.assign(scope.publisher, {
      stats: () => statsOf(scope),
      asyncapi: (info?: AsyncApiInfo) => asyncApiDocument(scope.described, settings, info)
    })
  )
  app.decorateRequest('isTicketUpgrade', {
    getter() {
      return isTicketUpgrade(scope.gate, this)
    }
  })
  app.addHook('onReady', async () => {
    for (const instance of declaring) checkAuthentication(instance, settings)
    await parts.start()
    scope.gate.takeOver()
  })
  closeWithApp(app, scope, parts)
}

/** Fastify's own options of `register`, which it hands on to every plugin. */
const REGISTER_OPTIONS: ReadonlySet<string> = new Set(['prefix', 'logLevel', 'logSerializers'])

function withoutRegisterOptions(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !REGISTER_OPTIONS.has(name)))
}

/**
 * Registers what the app has not. None of it touches the app's other routes.
 * @returns what our own routes need of it
 */
async function registerFoundations(app: FastifyInstance, settings: Settings, { rateStore }: Parts): Promise<RouteDefaults> {
  if (!app.hasDecorator('websocketServer')) await app.register(fastifyWebsocket, { options: { maxPayload: settings.maxPayload } })
  checkServer(app.websocketServer)
  if (!app.hasDecorator('createRateLimit')) {
    await app.register(fastifyRateLimit, { global: false, store: rateStore })
  }
  if (app.hasReplyDecorator('helmet')) return {}
  await app.register(fastifyHelmet, { global: false })
  return { onSend: securityHeaders() }
}

interface ScopeParts {
  readonly hub: Hub
  readonly parts: Parts
  readonly routeDefaults: RouteDefaults
}

function createScope(app: FastifyInstance, settings: Settings, { hub, parts, routeDefaults }: ScopeParts): RouteScope {
  const { clock } = settings
  const { store, bus, createUserPlaces, createSharedLimit } = parts
  return {
    settings,
    log: app.log,
    gate: gateOf(app.server, clock, settings, app.log),
    store,
    bus,
    hub,
    publisher: new Publisher({ bus, store }),
    limits: ConnectionLimits.ofPlugin(settings.caps, createUserPlaces),
    createSharedLimit,
    issuePerIp: requestRate(app, `${settings.redisPrefix}:issue-ip`, settings.issuePerIp, ipKeyOf),
    issuePerUser: requestRate(app, `${settings.redisPrefix}:issue-user`, settings.issuePerUser, (request) => callerOf(request).userId),
    upgradePerIp: requestRate(app, `${settings.redisPrefix}:upgrade-ip`, settings.upgradePerIp, ipKeyOf),
    redeemStage: {
      store,
      log: app.log,
      replayed(connection) {
        if (settings.replay === 'log') return
        bus.disconnect({
          kind: 'disconnect',
          route: null,
          target: { connection },
          code: CloseCode.ticketReplayed,
          reason: 'its ticket was used again'
        })
      }
    },
    routeDefaults,
    // an app may have turned the tracking of clients off
    sockets: app.websocketServer.clients ?? new Set(),
    hosts: new Set(),
    addresses: new OwnAddresses(),
    routeLimits: new Set(),
    described: []
  }
}

function checkAuthentication(instance: FastifyInstance, settings: Settings): void {
  if (!canAuthenticate(settings, instance.hasRequestDecorator('jwtVerify'))) throw fail('MISSING_AUTHENTICATION')
  // what else an app may call jwt is not asked to sign
  if (instance.hasPlugin('@fastify/jwt') && hasGuessableSecret(instance)) throw fail('GUESSABLE_SECRET')
}

/** Looks after connections until the app closes; then each is told to come back later (1012), and all is given back. */
function closeWithApp(app: FastifyInstance, { settings, gate, hosts, hub }: RouteScope, parts: Parts): void {
  const stopRounds = startRounds(settings.clock, () => [...hosts, hub, ...parts.ticking])
  app.addHook('preClose', async () => {
    gate.close()
    await Promise.all([...hosts].map((host) => host.drain(CloseCode.serviceRestart, 'the server restarts')))
  })
  app.addHook('onClose', async () => {
    gate.end()
    stopRounds()
    await parts.close()
  })
}
