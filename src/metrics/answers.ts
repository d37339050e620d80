import type { FastifyReply, FastifyRequest } from 'fastify'
import { tellFailure } from '../failure-watch.js'
import { outcomeOf } from './outcome.js'

/** Why we refused a request; what the app's own hooks refuse is known by its status alone. */
const refusals = new WeakMap<FastifyRequest, string>()

/** Does a part of the work for a request, and notes why when it refuses. */
export async function noting<T>(request: FastifyRequest, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    note(request, error)
    tellFailure(request.raw.socket, error)
    throw error
  }
}

/** Notes why we refuse a request. */
export function note(request: FastifyRequest, error: unknown): void {
  refusals.set(request, outcomeOf(error))
}

/** Was it we who refused a request, and not the app? */
export function wasNoted(request: FastifyRequest): boolean {
  return refusals.has(request)
}

/** A hook for `onResponse` that tells what became of each request that Fastify answered. */
export function tellAnswers(tell: (outcome: string) => void, success: string) {
  return (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    if (isGone(request)) tell('abandoned')
    else tell(reply.statusCode < 400 ? success : (refusals.get(request) ?? `HTTP_${reply.statusCode}`))
    done()
  }
}

/** A client that has left before it was looked at has no address; whatever it was refused for, that is why. */
function isGone({ ip }: FastifyRequest): boolean {
  return !ip
}
