import type { FastifyReply, FastifyRequest } from 'fastify'

type OnSend = (request: FastifyRequest, reply: FastifyReply, payload: unknown, done: () => void) => void
type Headers = readonly (readonly [name: string, value: unknown])[]

/**
 * Sets the headers of @fastify/helmet, which works its settings out anew each time, though they are the same for every answer:
 * so it is asked once. An upgrade that is answered 101 is spared them, as it is not sent.
 */
export function securityHeaders(): OnSend {
  let known: Headers | undefined
  return (_request, reply, _payload, done) => {
    known ??= askHelmet(reply)
    setHeaders(reply, known)
    done()
  }
}

/** What it sets on an answer that has no headers yet. */
function askHelmet(reply: FastifyReply): Headers {
  const before = headersOf(reply)
  for (const [name] of before) reply.raw.removeHeader(name)
  reply.helmet()
  const found = headersOf(reply)
  setHeaders(reply, before)
  return found
}

function headersOf({ raw }: FastifyReply): Headers {
  return Object.entries(raw.getHeaders())
}

function setHeaders({ raw }: FastifyReply, headers: Headers): void {
  for (const header of headers) Reflect.apply(raw.setHeader, raw, header)
}
