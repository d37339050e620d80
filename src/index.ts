export type { AsyncApiInfo } from './asyncapi/info.js'
export type { AsyncApiDocument } from './asyncapi/types.js'
export type { WsTicket } from './augmentation.js'
export { type Clock, systemClock } from './clock.js'
export type { Connection } from './connection/connection.js'
export {
  type Contract,
  defineContract,
  type EventPayload,
  type EventType,
  type MessageContract,
  type MessagePayload,
  type MessageReply,
  type MessageType,
  type WithPayload
} from './contract.js'
export type { ErrorCode } from './errors.js'
export type { Jsonified } from './jsonified.js'
export type { HistogramSnapshot } from './metrics/histogram.js'
export type { MessageTotals } from './metrics/message-metrics.js'
export type { RouteTotals } from './metrics/route-metrics.js'
export type { TracedMessage, TraceMessage } from './metrics/trace.js'
export type { Duration } from './option-schema.js'
export type { Rate } from './options/rate.js'
export type { RouteLimits, WsTicketOptions } from './options.js'
export { wsTicket, wsTicket as default } from './plugin.js'
export { CloseCode, type ErrorPayload, SUBPROTOCOL, type ValidationIssue } from './protocol.js'
export type { Target } from './publish/bus.js'
export type { Delivery, Disconnection, WsRoute } from './publish/publisher.js'
export type { RedisClient } from './redis/client.js'
export type { Handler, HandlerOptions, Handlers } from './route/handlers.js'
export type { WsRouteOptions } from './route/route-options.js'
export type { Stats, Totals } from './stats.js'
export type { FindOutcome, IssueOutcome, TicketRecord, TicketStore } from './ticket/store.js'
export type { Claims, User } from './user.js'
