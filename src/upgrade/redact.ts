import type { FastifyBaseLogger, FastifyRequest } from 'fastify'

/** Turns a request into what is logged of it. */
type RequestSerializer = (request: FastifyRequest) => Record<string, unknown>

/** The URL with the value of every `ticket` in its query replaced. */
export function redactTicket(url: string): string {
  const start = url.indexOf('?')
  if (start === -1) return url
  const parts = url.slice(start + 1).split('&')
  return `${url.slice(0, start)}?${parts.map(redactPart).join('&')}`
}

function redactPart(part: string): string {
  const [name = ''] = part.split('=')
  return decodesToTicket(name) ? `${name}=[redacted]` : part
}

function decodesToTicket(name: string): boolean {
  try {
    return decodeURIComponent(name.replaceAll('+', ' ')) === 'ticket'
  } catch {
    return false
  }
}

const PINO_SERIALIZERS = Symbol.for('pino.serializers')

/**
 * The logger's own serializer of requests, with tickets redacted: Fastify logs the URL before any hook could take the
 * ticket out of it.
 */
export function redactingSerializer(log: FastifyBaseLogger): RequestSerializer {
  const serialize = serializerOf(log) ?? summarize
  return (request) => {
    const line = serialize(request)
    return typeof line.url === 'string' ? { ...line, url: redactTicket(line.url) } : line
  }
}

function serializerOf(log: FastifyBaseLogger): RequestSerializer | undefined {
  const serializers: unknown = Reflect.get(log, PINO_SERIALIZERS)
  const serialize: unknown = Reflect.get(Object(serializers), 'req')
  return isSerializer(serialize) ? serialize : undefined
}

function isSerializer(value: unknown): value is RequestSerializer {
  return typeof value === 'function'
}

function summarize({ method, url, host, ip }: FastifyRequest): Record<string, unknown> {
  return { method, url, host, remoteAddress: ip }
}
