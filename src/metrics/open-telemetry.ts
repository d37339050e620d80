import type { FastifyInstance } from 'fastify'
import { fail } from '../errors.js'
import { isPromiseLike } from '../promise-like.js'
import { checkApp, checkArgument, checkNames } from './argument.js'
import { FAMILIES, HANDLER_SECONDS, type Sample } from './families.js'
import { tellHandlerTimes } from './handler-times.js'
import { onceATurn } from './once-a-turn.js'
import { outcomeOf } from './outcome.js'
import type { TraceMessage } from './trace.js'
import { untilClosed } from './until-closed.js'

interface ObservableInstrument {
  addCallback(callback: (result: { observe(value: number, attributes: Sample['labels']): void }) => void): void
  removeCallback(callback: (result: { observe(value: number, attributes: Sample['labels']): void }) => void): void
}

/** What is needed of a meter of OpenTelemetry. */
export interface Meter {
  createObservableCounter(name: string, options: { description: string }): ObservableInstrument
  createObservableGauge(name: string, options: { description: string }): ObservableInstrument
  createHistogram(
    name: string,
    options: { description: string; unit: string }
  ): { record(value: number, attributes: Sample['labels']): void }
}

/** The prefixes under which a meter shows an app: of two, the numbers of one alone would be seen. */
const prefixesOf = new WeakMap<Meter, Set<string>>()

const USAGE = "collectOpenTelemetry(app, metrics.getMeter('<name>'), { prefix? })"
const INSTRUMENTS = ['createObservableCounter', 'createObservableGauge', 'createHistogram']

/**
 * Shows the metrics of an app through OpenTelemetry until the app closes. Call it after the plugin is registered and before the app is
 * ready. Apps that run at once each need a meter of their own.
 *
 * @example collectOpenTelemetry(app, metrics.getMeter('my-app'))
 * @throws FST_WS_TICKET_INVALID_OPTION, FST_WS_TICKET_NOT_REGISTERED, FST_WS_TICKET_APP_READY, FST_WS_TICKET_METER_TAKEN
 * @see https://opentelemetry.io/docs/languages/js/instrumentation/#metrics
 */
export function collectOpenTelemetry(app: FastifyInstance, meter: Meter, options: { prefix?: string } = {}): void {
  checkApp(app, USAGE)
  checkArgument(meter, { name: 'meter', what: 'meter', methods: INSTRUMENTS, usage: USAGE })
  checkNames(options, ['prefix'], USAGE)
  const { prefix = 'ws_ticket.' } = options
  const prefixes = prefixesOf.get(meter) ?? new Set()
  if (prefixes.has(prefix)) throw fail('METER_TAKEN', [prefix])
  const atClose = untilClosed(app)
  const stats = onceATurn(() => app.wsTicket.stats())
  const instruments = new Set<ObservableInstrument>()
  for (const { name, help, kind, read } of FAMILIES) {
    const options = { description: help }
    // the kind says what a counter's name ends in for Prometheus
    const plain = prefix + name.replace(/_total$/, '')
    const instrument = kind === 'gauge' ? meter.createObservableGauge(plain, options) : meter.createObservableCounter(plain, options)
    const observe: Parameters<typeof instrument.addCallback>[0] = (result) => {
      for (const { labels, value } of read(stats())) result.observe(value, labels)
    }
    instruments.add(instrument)
    instrument.addCallback(observe)
    atClose(() => instrument.removeCallback(observe))
  }
  // without an SDK all meters are one, whose instruments are too and show nothing
  if (instruments.size === FAMILIES.length) {
    prefixesOf.set(meter, prefixes.add(prefix))
    atClose(() => prefixes.delete(prefix))
  }
  const { name, help } = HANDLER_SECONDS
  const histogram = meter.createHistogram(prefix + name.replace(/_seconds$/, '.duration'), { description: help, unit: 's' })
  atClose(tellHandlerTimes(app, (seconds, labels) => histogram.record(seconds, labels)))
}

interface Span {
  setAttribute(key: string, value: string): unknown
  setStatus(status: { code: number }): unknown
  end(): void
}

/** What is needed of a tracer of OpenTelemetry. */
export interface Tracer {
  startActiveSpan<T>(name: string, options: { kind: number; attributes: Record<string, string> }, run: (span: Span) => T): T
}

/** SpanKind.SERVER and SpanStatusCode.ERROR of OpenTelemetry's API, which is not loaded for two numbers. */
const SERVER = 1
const ERROR = 2

/**
 * For the option `traceMessage`: makes a span of each handler, the parent of whatever the handler does. An error shows as the code or
 * status that the client is told, never with its text.
 *
 * @example app.register(wsTicket, { …, traceMessage: traceOpenTelemetry(trace.getTracer('my-app')) })
 */
export function traceOpenTelemetry(tracer: Tracer): TraceMessage {
  return ({ route, type, connection }, handle) => {
    const attributes = { 'ws_ticket.route': route, 'ws_ticket.type': type, 'ws_ticket.connection': connection }
    return tracer.startActiveSpan(`${route} ${type}`, { kind: SERVER, attributes }, (span) => endWith(span, handle))
  }
}

function endWith(span: Span, handle: () => unknown): unknown {
  const succeeded = (value: unknown) => {
    span.end()
    return value
  }
  const failed = (error: unknown): never => {
    span.setAttribute('error.type', outcomeOf(error))
    span.setStatus({ code: ERROR })
    span.end()
    throw error
  }
  let result: unknown
  try {
    result = handle()
  } catch (error) {
    return failed(error)
  }
  return isPromiseLike(result) ? Promise.resolve(result).then(succeeded, failed) : succeeded(result)
}
