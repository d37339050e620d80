import type { FastifyBaseLogger, RouteShorthandOptions } from 'fastify'
import type { WebSocket } from 'ws'
import type { ConnectionLimits } from '../capacity/connection-limits.js'
import type { CreateSharedLimit } from '../message/limit.js'
import type { Settings } from '../options.js'
import type { Bus } from '../publish/bus.js'
import type { Hub } from '../publish/hub.js'
import type { Publisher } from '../publish/publisher.js'
import type { RequestRate } from '../request-rate/request-rate.js'
import type { RedeemStage } from '../ticket/redeem.js'
import type { TicketStore } from '../ticket/store.js'
import type { UpgradeGate } from '../upgrade/gate.js'
import type { OwnAddresses } from './address.js'
import type { DescribedRoute } from './described-route.js'
import type { RouteHost } from './route-host.js'

/** What Fastify is told of every route of ours. */
export type RouteDefaults = Pick<RouteShorthandOptions, 'onSend'>

/** What all routes of one registration of the plugin share. */
export interface RouteScope {
  readonly settings: Settings
  readonly log: FastifyBaseLogger
  readonly gate: UpgradeGate
  readonly store: TicketStore
  readonly bus: Bus
  readonly hub: Hub
  readonly publisher: Publisher
  readonly limits: ConnectionLimits
  /** Makes the limits that count the messages of a user or an address. */
  readonly createSharedLimit: CreateSharedLimit
  readonly issuePerIp: RequestRate
  readonly issuePerUser: RequestRate
  readonly upgradePerIp: RequestRate
  readonly redeemStage: Omit<RedeemStage, 'metrics'>
  /** For routes that do not say themselves what helmet is to do. */
  readonly routeDefaults: RouteDefaults
  /** All sockets of @fastify/websocket. */
  readonly sockets: Set<WebSocket>
  readonly hosts: Set<RouteHost>
  readonly addresses: OwnAddresses
  /** What routes with caps of their own count by. */
  readonly routeLimits: Set<ConnectionLimits>
  /** What documents tell of the routes. */
  readonly described: DescribedRoute[]
}
