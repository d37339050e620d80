import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ConnectionLimits } from '../capacity/connection-limits.js'
import { noting, tellAnswers } from '../metrics/answers.js'
import type { RouteMetrics } from '../metrics/route-metrics.js'
import { setDeadline } from '../ticket/deadline.js'
import { checkBody, checkCaller, fillEmptyBody, type IssueStage, issue } from '../ticket/issue.js'
import { ticketSchema, writeAnswer } from '../ticket/ticket-schema.js'
import { checkOrigin } from '../upgrade/origin.js'
import { checkSecureChannel } from '../upgrade/secure-channel.js'
import { ticketPathOf } from './address.js'
import { before } from './hooks.js'
import type { FastifyRouteOptions, RouteSchema } from './route-options.js'
import type { RouteDefaults, RouteScope } from './route-scope.js'

const BODY_LIMIT = 4096

/** What both routes of an address need to know of it. */
export interface DeclaredRoute {
  readonly id: string
  readonly path: string
  readonly fastify: FastifyRouteOptions & RouteDefaults
  readonly schema: RouteSchema<unknown>
  readonly limits: ConnectionLimits
  readonly metrics: RouteMetrics
  readonly authorize: IssueStage['authorize']
}

/** `POST <path>/ticket`. */
export function declareTicketRoute(app: FastifyInstance, scope: RouteScope, route: DeclaredRoute): void {
  const stage: IssueStage = {
    route: route.id,
    settings: scope.settings,
    store: scope.store,
    checkSource(request) {
      checkSecureChannel(request, scope.settings)
      checkOrigin(request.headers.origin, scope.settings)
    },
    checkRoom: (ipKey, userId) => route.limits.checkRoom(ipKey, userId),
    wasDisconnected: (userId, since) => scope.hub.wasDisconnected(userId, '', since),
    perIp: scope.issuePerIp,
    perUser: scope.issuePerUser,
    authorize: route.authorize
  }
  app.route({
    ...route.fastify,
    method: 'POST',
    url: ticketPathOf(route.path),
    bodyLimit: BODY_LIMIT,
    schema: { ...ticketSchema, ...route.schema },
    serializerCompiler: () => writeAnswer,
    onRequest: before(async (request: FastifyRequest, reply: FastifyReply) => {
      setDeadline(reply, scope.settings)
      await noting(request, () => checkCaller(stage, request))
    }, route.fastify.onRequest),
    preParsing: before(fillEmptyBody, route.fastify.preParsing),
    preValidation: before((request: FastifyRequest) => noting(request, () => checkBody(request)), route.fastify.preValidation),
    onResponse: tellAnswers((outcome) => route.metrics.ticketAnswered(outcome), 'issued'),
    handler: (request, reply) => noting(request, () => issue(stage, request, reply))
  })
}
