import Type, { type Static } from 'typebox'
import { fail } from '../errors.js'
import { duration, flag, toMs, whole } from '../option-schema.js'
import { isSerializedOrigin } from '../serialized-origin.js'
import { type RateSettings, rateSettings, requestRateShape } from './rate.js'
import { MINUTE } from './times.js'

export const handshakeFields = {
  /** The origins whose pages may connect, each exactly as a browser sends it. */
  allowedOrigins: Type.Array(Type.Refine(Type.String(), isSerializedOrigin), {
    description:
      "a list of origins exactly as browsers send them, such as 'https://app.example.com', without wildcard, path or slash at the end"
  }),
  /** Lets in clients that send no Origin, as programs other than browsers do. */
  allowMissingOrigin: flag(false),
  /** Lets in clients that come without TLS from elsewhere than a loopback address. */
  allowInsecure: flag(false),
  /** Upgrades from one address (IPv6: one /64). */
  upgradePerIp: Type.Object(requestRateShape.properties, { ...requestRateShape, default: { max: 60, timeWindow: MINUTE } }),
  /** Handshakes under way at a time, on the whole server. */
  maxPendingHandshakes: whole(1, 1_000_000, 256),
  /** How long a handshake may take, the app's own hooks included. */
  handshakeTimeout: duration(50, MINUTE, 5000),
  /** Headers that an upgrade may have. */
  maxHeaders: whole(10, 900, 100)
}

/** Who may knock, and how. */
export interface HandshakeSettings {
  readonly allowedOrigins: ReadonlySet<string>
  readonly allowMissingOrigin: boolean
  readonly allowInsecure: boolean
  readonly upgradePerIp: RateSettings
  readonly maxPendingHandshakes: number
  readonly handshakeTimeoutMs: number
  readonly maxHeaders: number
}

/** @throws FST_WS_TICKET_INVALID_OPTION */
export function handshakeSettings(given: Static<Type.TObject<typeof handshakeFields>>): HandshakeSettings {
  if (given.allowedOrigins.length === 0 && !given.allowMissingOrigin) {
    throw fail('INVALID_OPTION', ["'allowedOrigins' is []; allowed: at least one origin, or none with allowMissingOrigin."])
  }
  return {
    allowedOrigins: new Set(given.allowedOrigins),
    allowMissingOrigin: given.allowMissingOrigin,
    allowInsecure: given.allowInsecure,
    upgradePerIp: rateSettings(given.upgradePerIp),
    maxPendingHandshakes: given.maxPendingHandshakes,
    handshakeTimeoutMs: toMs(given.handshakeTimeout),
    maxHeaders: given.maxHeaders
  }
}
