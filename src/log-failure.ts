import { inspect } from 'node:util'
import type { FastifyBaseLogger } from 'fastify'
import { RedisFailure } from './redis/failure.js'

const MAX_TEXT = 1000

/**
 * Logs what the app's own code threw, whatever that is: loggers put marks on errors, and fail on those that are frozen. Must
 * not throw, as it runs where nobody would catch it.
 *
 * @returns whether it could be logged as it is; what could not must not get into the log in another error, as its cause
 */
export function logFailure(log: FastifyBaseLogger, error: unknown, message: string, fields: object = {}): boolean {
  if (error instanceof RedisFailure) return logRedisFailure(log, error, message, fields)
  try {
    log.error({ ...fields, err: error }, message)
    return true
  } catch {
    log.error({ ...fields, thrown: textOf(error) }, message)
    return false
  }
}

/** Nothing is wrong with the code, and while Redis is away there is one for each request: no stack. */
function logRedisFailure(log: FastifyBaseLogger, { code, message: reason }: RedisFailure, message: string, fields: object): boolean {
  log.warn({ ...fields, code, reason }, message)
  return true
}

function textOf(error: unknown): string {
  try {
    return inspect(error, { customInspect: false, depth: 1 }).slice(0, MAX_TEXT)
  } catch {
    return 'what can not be read: its own properties throw'
  }
}
