import type { FastifyReply } from 'fastify'
import { fail } from '../errors.js'
import { note } from '../metrics/answers.js'
import type { Settings } from '../options.js'

const RETRY_AFTER_MS = 1000

/**
 * Answers 503 when nothing else has been answered within `handshakeTimeout`, since a hook, an `authorize` or a store may never settle.
 * Fastify's own `handlerTimeout` ends as soon as the request's body has been read.
 */
export function setDeadline(reply: FastifyReply, { clock, handshakeTimeoutMs }: Settings): void {
  const stop = clock.every(handshakeTimeoutMs, () => {
    stop()
    if (reply.sent) return
    const cause = new Error('the request was not answered within handshakeTimeout')
    const error = fail('UNAVAILABLE', [], { retryAfterMs: RETRY_AFTER_MS, cause })
    note(reply.request, error)
    reply.send(error)
  })
  // the one without the other where a client leaves, and where a request is injected
  reply.raw.once('close', stop).once('finish', stop)
}
