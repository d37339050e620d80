import type { FastifyInstance, FastifyRequest } from 'fastify'
import { noting, tellAnswers } from '../metrics/answers.js'
import { checkUpgrade } from '../upgrade/admit.js'
import { appServerOf } from '../upgrade/app-server.js'
import { hintAtHook } from '../upgrade/hook-hint.js'
import { type OpenStage, openConnection } from '../upgrade/open.js'
import { redactForeignRequests, redactingSerializer } from '../upgrade/redact.js'
import { before } from './hooks.js'
import type { RouteHost } from './route-host.js'
import type { RouteScope } from './route-scope.js'
import type { DeclaredRoute } from './ticket-route.js'
import { withStage } from './websocket-routes.js'

/** The upgrade at `GET <path>`. */
export function declareUpgradeRoute(app: FastifyInstance, scope: RouteScope, route: DeclaredRoute, host: RouteHost): void {
  const stage: OpenStage = {
    ...scope.redeemStage,
    route: route.id,
    metrics: route.metrics,
    settings: scope.settings,
    gate: scope.gate,
    limits: route.limits,
    perIp: scope.upgradePerIp,
    sharedLimits: host.table.swept,
    wasDisconnected: (userId, connection, since) => scope.hub.wasDisconnected(userId, connection, since),
    host,
    sockets: scope.sockets,
    server: appServerOf(app.websocketServer)
  }
  if (scope.settings.ticketInQuery) redactForeignRequests(app.log)
  const { params, querystring, headers } = route.schema
  app.route({
    ...route.fastify,
    method: 'GET',
    url: route.path,
    exposeHeadRoute: false,
    config: withStage(route.fastify.config, stage),
    schema: { hide: true, ...(params ? { params } : {}), ...(querystring && { querystring }), ...(headers && { headers }) },
    logSerializers: { req: redactingSerializer(app.log) },
    onRequest: before((request: FastifyRequest) => noting(request, () => checkUpgrade(stage, request)), route.fastify.onRequest),
    onSend: before(hintAtHook(app.server, stage), route.fastify.onSend),
    onResponse: tellAnswers((outcome) => route.metrics.handshakeEnded(outcome), 'answered'),
    websocket: true,
    handler: (socket, request) => openConnection(stage, socket, request)
  })
}
