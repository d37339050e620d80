import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify'
import { isTicketFormat } from '../ticket/ticket.js'

/** Turns a request into what is logged of it. */
type RequestSerializer = (request: FastifyRequest) => Record<string, unknown>

/** `name=value` behind any sign that a router may take for the beginning of a query, or of its next part. */
const QUERY_PART = /([?#;&])([^?#;&=]*)=([^?#;&]*)/g

/** The URL with the value of every `ticket` in its query replaced, or of those that `isSecret` tells. */
export function redactTicket(url: string, isSecret: (value: string) => boolean = () => true): string {
  return url.replace(QUERY_PART, (part: string, sign: string, name: string, value: string) => {
    return decode(name) === 'ticket' && isSecret(decode(value)) ? `${sign}${name}=[redacted]` : part
  })
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

const PINO_SERIALIZERS = Symbol.for('pino.serializers')

/**
 * The logger's own serializer of requests, with tickets redacted: Fastify logs the URL before any hook could take the
 * ticket out of it.
 */
export function redactingSerializer(log: FastifyBaseLogger): RequestSerializer {
  const serialize = serializerOf(log) ?? summarize
  return (request) => redactLine(serialize(request))
}

const redacted = new WeakSet<object>()

/**
 * Takes out of the lines on all other requests what looks like a ticket of ours: a client may have sent it to the wrong
 * address. Loggers other than pino keep theirs.
 */
export function redactForeignRequests(log: FastifyBaseLogger): void {
  const serialize = serializerOf(log)
  const serializers: unknown = Reflect.get(log, PINO_SERIALIZERS)
  if (serialize === undefined || typeof serializers !== 'object' || serializers === null || redacted.has(serializers)) return
  redacted.add(serializers)
  Reflect.set(serializers, 'req', (request: FastifyRequest) => redactLine(serialize(request), isTicketFormat))
}

/**
 * Takes tickets out of addresses that there are none of: Fastify tells them to the log and to whoever asked. For apps that
 * accept tickets in the query.
 */
export function redactUnknownAddresses(app: FastifyInstance): void {
  app.addHook('onRequest', async (request: FastifyRequest) => {
    if (request.is404) request.raw.url = redactTicket(request.url, isTicketFormat)
  })
}

function redactLine(line: Record<string, unknown>, isSecret?: (value: string) => boolean): Record<string, unknown> {
  return 'url' in line ? { ...line, url: redactTicket(String(line.url), isSecret) } : line
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
