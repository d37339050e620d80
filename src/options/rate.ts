import Type, { type Static } from 'typebox'
import { duration, optionParser, toMs, whole } from '../option-schema.js'
import { DAY } from './times.js'

export const rateShape = Type.Object(
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

export const requestRateShape = Type.Object(
  { max: whole(1, 1_000_000), timeWindow: duration(1000, DAY) },
  { additionalProperties: false, description: '{ max, timeWindow }' }
)

/** A rate of messages: `max` in each `timeWindow`, `burst` of them at once. */
export type Rate = Static<typeof rateShape>

/** A rate with its defaults filled in. */
export interface RateSettings {
  readonly max: number
  readonly timeWindowMs: number
  readonly burst: number
}

const parseRateOptions = optionParser(rateShape)

/**
 * The rate limit of one message type.
 * @throws FST_WS_TICKET_INVALID_OPTION
 */
export function parseRate(where: string, rate: unknown): RateSettings {
  return rateSettings(parseRateOptions(rate, `${where}: `))
}

export function rateSettings(rate: Rate): RateSettings {
  return Object.freeze({ max: rate.max, timeWindowMs: toMs(rate.timeWindow), burst: rate.burst ?? rate.max })
}
