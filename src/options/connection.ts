import Type, { type Static } from 'typebox'
import { duration, durationOrOff, toMs, whole } from '../option-schema.js'
import { type RateSettings, rateSettings, rateShape } from './rate.js'
import { DAY, HOUR, MINUTE } from './times.js'

export const connectionFields = {
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
  /** Bytes that may wait for a slow reader; who has left more waiting for 5 s, or has more than twice as much waiting, is closed with 1013. */
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

export function connectionSettings(given: Static<Type.TObject<typeof connectionFields>>): ConnectionSettings {
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
