import type { FastifyReply, FastifyRequest } from 'fastify'
import { outcomeOf } from './outcome.js'

/** Why we refused a request; what the app's own hooks refuse is known by its status alone. */
const refusals = new WeakMap<FastifyRequest, string>()

/** Does a part of the work for a request, and notes why when it refuses. */
export async function noting<T>(request: FastifyRequest, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    refusals.set(request, outcomeOf(error))
    throw error
  }
}

/** A hook for `onResponse` that tells what became of each request that Fastify answered. */
export function tellAnswers(tell: (outcome: string) => void, success: string) {
  return (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    tell(reply.statusCode < 400 ? success : (refusals.get(request) ?? `HTTP_${reply.statusCode}`))
    done()
  }
}
