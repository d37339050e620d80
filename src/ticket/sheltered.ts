import type { FastifyRequest } from 'fastify'
import { fail, isTellable } from '../errors.js'
import { logFailure } from '../log-failure.js'

/**
 * Runs what the app decides by. What it throws to be told passes; any other error is for the log, as its message was not written
 * for a client.
 *
 * @throws FST_WS_TICKET_AUTHORIZE_FAILED
 */
export async function sheltered<T>(request: FastifyRequest, failure: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isToBeTold(error)) throw error
    const isLogged = logFailure(request.log, error, failure)
    throw fail('AUTHORIZE_FAILED', [], isLogged ? { cause: error } : {})
  }
}

function isToBeTold(error: unknown): boolean {
  try {
    const { statusCode, code }: Record<string, unknown> = Object(error)
    return error instanceof Error && isTellable(statusCode, code)
  } catch {
    // what is thrown may be a proxy, and reading its properties may throw
    return false
  }
}
