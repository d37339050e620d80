import type { FastifyInstance } from 'fastify'
import { fail } from '../errors.js'
import { checkApp, checkArgument, checkNames } from './argument.js'
import { FAMILIES, HANDLER_SECONDS, type Sample } from './families.js'
import { tellHandlerTimes } from './handler-times.js'
import { BUCKETS_S } from './histogram.js'
import { onceATurn } from './once-a-turn.js'
import { untilClosed } from './until-closed.js'

interface MetricOptions<Register> {
  name: string
  help: string
  labelNames: string[]
  registers?: Register[]
  collect?: () => void
}

/** What is needed of a registry of prom-client. */
export interface PromRegistry {
  getSingleMetric(name: string): unknown
  removeSingleMetric(name: string): void
}

/** What is needed of prom-client. */
export interface PromClient<Register> {
  readonly register: PromRegistry
  readonly Counter: new (options: MetricOptions<Register>) => { reset(): void; inc(labels: Sample['labels'], value: number): void }
  readonly Gauge: new (options: MetricOptions<Register>) => { reset(): void; set(labels: Sample['labels'], value: number): void }
  readonly Histogram: new (
    options: MetricOptions<Register> & { buckets: number[] }
  ) => {
    observe(labels: Sample['labels'], value: number): void
  }
}

export interface PrometheusOptions<Register> {
  /** The registry to add to. Default: prom-client's own. */
  register?: Register
  /** What all names begin with. Default `ws_ticket_`. */
  prefix?: string
}

const USAGE = 'collectPrometheus(app, promClient, { register?, prefix? })'

/**
 * Shows the metrics of an app through prom-client until the app closes. Call it after the plugin is registered and before the app is
 * ready. Apps that run at once each need a registry of their own.
 *
 * @example collectPrometheus(app, promClient)
 * @throws FST_WS_TICKET_INVALID_OPTION, FST_WS_TICKET_NOT_REGISTERED, FST_WS_TICKET_APP_READY, FST_WS_TICKET_METRIC_EXISTS; then nothing is registered
 * @see https://github.com/siimon/prom-client
 */
export function collectPrometheus<Register extends PromRegistry>(
  app: FastifyInstance,
  client: PromClient<Register>,
  options: PrometheusOptions<Register> = {}
): void {
  checkApp(app, USAGE)
  checkArgument(client, { name: 'client', what: 'prom-client', methods: ['Counter', 'Gauge', 'Histogram'], usage: USAGE })
  checkNames(options, ['register', 'prefix'], USAGE)
  const { register, prefix = 'ws_ticket_' } = options
  const optionsOf = ({ name, help, labels }: { name: string; help: string; labels: readonly string[] }) => ({
    name: prefix + name,
    help,
    labelNames: [...labels],
    ...(register !== undefined && { registers: [register] })
  })
  const registry = register ?? client.register
  checkArgument(registry, { name: 'register', what: 'registry', methods: ['getSingleMetric', 'removeSingleMetric'], usage: USAGE })
  const names = [...FAMILIES, HANDLER_SECONDS].map(({ name }) => prefix + name)
  for (const name of names) if (registry.getSingleMetric(name)) throw fail('METRIC_EXISTS', [name])
  const atClose = untilClosed(app)
  const stats = onceATurn(() => app.wsTicket.stats())
  for (const family of FAMILIES) {
    const read = () => family.read(stats())
    if (family.kind === 'gauge') showGauge(client, optionsOf(family), read)
    else showCounter(client, optionsOf(family), read)
  }
  const histogram = new client.Histogram({ ...optionsOf(HANDLER_SECONDS), buckets: [...BUCKETS_S] })
  atClose(tellHandlerTimes(app, (seconds, labels) => histogram.observe(labels, seconds)))
  for (const name of names) atClose(removalOf(name, registry))
}

/** Takes the metric off again, unless the registry was cleared and has another by now. */
function removalOf(name: string, registry: PromRegistry): () => void {
  const metric = registry.getSingleMetric(name)
  return () => {
    if (registry.getSingleMetric(name) === metric) registry.removeSingleMetric(name)
  }
}

function showGauge<Register>({ Gauge }: PromClient<Register>, options: MetricOptions<Register>, read: () => Sample[]): void {
  const metric = new Gauge({
    ...options,
    collect() {
      for (const { labels, value } of read()) metric.set(labels, value)
    }
  })
}

/** The app's own numbers are the truth; what was shown the last time is forgotten. */
function showCounter<Register>({ Counter }: PromClient<Register>, options: MetricOptions<Register>, read: () => Sample[]): void {
  const metric = new Counter({
    ...options,
    collect() {
      metric.reset()
      for (const { labels, value } of read()) metric.inc(labels, value)
    }
  })
}
