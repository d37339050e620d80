import { readFileSync } from 'node:fs'
import { type Attributes, context, createNoopMeter, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import Fastify, { type FastifyInstance } from 'fastify'
import * as promClient from 'prom-client'
import t, { type Test } from 'tap'
import { channels } from '../../src/metrics/events.js'
import { FAMILIES, HANDLER_SECONDS } from '../../src/metrics/families.js'
import { collectOpenTelemetry, collectPrometheus, type Meter, traceOpenTelemetry } from '../../src/metrics/index.js'
import { buildApp, echoContract, echoHandlers } from '../fixtures/app.js'
import { type Client, connect, listen } from '../fixtures/client.js'
import { issueTicket, requestTicket } from '../fixtures/tickets.js'
import { refusedUpgrade, untilStats } from '../fixtures/upgrade.js'

function thrownBy(work: () => void): Error {
  try {
    work()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('it did not throw an error')
}

const tooLate = { code: 'FST_WS_TICKET_APP_READY', message: /^The app is ready, .* before app\.ready\(\)/ }

/** Something of everything that is counted; one connection stays open. */
async function useAll(t: Test, app: FastifyInstance): Promise<Client> {
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers, onOpen: (connection) => connection.subscribe('room') })
  const port = await listen(app)
  await requestTicket(app, '/echo', { headers: { authorization: 'Bearer nonsense' } })
  await refusedUpgrade(t, port, '/echo', 'A'.repeat(43))
  await refusedUpgrade(t, port, '/echo', undefined, {}, 'POST /echo HTTP/1.1')
  const [staying, leaving] = [await connect(t, app, '/echo'), await connect(t, app, '/echo')]
  for (const client of [staying, leaving]) await client.next()
  await staying.request('echo', { text: 'hello' })
  await staying.request('echo', { text: 7 })
  leaving.socket.close(1000)
  await untilStats(app, { connections: 1, users: 1, ips: 1 })
  await issueTicket(app, '/echo')
  return staying
}

t.test('prom-client shows what is counted, in the way of Prometheus', async (t) => {
  const app = await buildApp(t)
  const register = new promClient.Registry()
  collectPrometheus(app, promClient, { register })
  await useAll(t, app)
  const text = await register.metrics()
  for (const line of [
    'ws_ticket_connections 1',
    'ws_ticket_pending_handshakes 0',
    'ws_ticket_kept_tickets 3',
    'ws_ticket_topics 1',
    'ws_ticket_tickets_total{route="/echo",outcome="issued"} 3',
    'ws_ticket_tickets_total{route="/echo",outcome="FST_WS_TICKET_UNAUTHENTICATED"} 1',
    'ws_ticket_expired_tickets_total 0',
    'ws_ticket_redemptions_total{route="/echo",outcome="redeemed"} 2',
    'ws_ticket_redemptions_total{route="/echo",outcome="refused"} 1',
    'ws_ticket_handshakes_total{route="/echo",outcome="opened"} 2',
    'ws_ticket_handshakes_total{route="/echo",outcome="FST_WS_TICKET_INVALID_TICKET"} 1',
    'ws_ticket_handshakes_total{route="",outcome="FST_WS_TICKET_BAD_HANDSHAKE"} 1',
    'ws_ticket_messages_total{route="/echo",type="echo",outcome="ok"} 1',
    'ws_ticket_messages_total{route="/echo",type="echo",outcome="FST_WS_TICKET_INVALID_PAYLOAD"} 1',
    'ws_ticket_handler_seconds_count{route="/echo",type="echo"} 1',
    'ws_ticket_handler_seconds_bucket{le="30",route="/echo",type="echo"} 1',
    'ws_ticket_closes_total{route="/echo",code="1000"} 1'
  ]) {
    t.ok(text.split('\n').includes(line), line)
  }
  t.match(text, /ws_ticket_received_bytes_total\{route="\/echo"\} \d{3,}\n/)
  t.match(text, /ws_ticket_sent_bytes_total\{route="\/echo"\} \d{3,}\n/)
  t.equal(await register.metrics(), text, 'to look changes nothing')
})

t.test('with prom-client’s own registry, a prefix of one’s own, and until the app closes', async (t) => {
  t.teardown(() => promClient.register.clear())
  const app = await buildApp(t)
  collectPrometheus(app, promClient, { prefix: 'mine_' })
  const client = await useAll(t, app)
  t.match(await promClient.register.metrics(), /^mine_handler_seconds_count\{route="\/echo",type="echo"\} 1$/m)
  const other = await buildApp(t)
  await useAll(t, other)
  t.match(await promClient.register.metrics(), /^mine_handler_seconds_count\{route="\/echo",type="echo"\} 1$/m, 'of this app alone')
  client.socket.close()
  await app.close()
})

t.test('prom-client: one app after another has its metrics in the same registry', async (t) => {
  const register = new promClient.Registry()
  for (let nr = 0; nr < 2; nr++) {
    const app = await buildApp(t)
    collectPrometheus(app, promClient, { register })
    t.match(await register.metrics(), /^ws_ticket_connections 0$/m)
    await app.close()
    t.same(register.getMetricsAsArray(), [])
  }
  t.notOk(channels.message.hasSubscribers)
})

t.test('prom-client: an app that closes leaves alone what has come into the registry since', async (t) => {
  const register = new promClient.Registry()
  const [first, second] = [await buildApp(t), await buildApp(t)]
  collectPrometheus(first, promClient, { register })
  register.clear()
  collectPrometheus(second, promClient, { register })
  await first.close()
  t.match(await register.metrics(), /^ws_ticket_connections 0$/m)
})

t.test('prom-client: of two apps at once each needs a registry of its own, or a prefix', async (t) => {
  const register = new promClient.Registry()
  const [first, second] = [await buildApp(t), await buildApp(t)]
  new promClient.Gauge({ name: 'ws_ticket_handler_seconds', help: 'the last of all', registers: [register] })
  const refused = {
    code: 'FST_WS_TICKET_METRIC_EXISTS',
    message: /^The registry has a metric ws_ticket_\w+ already, .*register: new promClient\.Registry\(\)/
  }
  t.throws(() => collectPrometheus(first, promClient, { register }), refused)
  t.equal(register.getMetricsAsArray().length, 1, 'nothing is registered')
  register.clear()
  collectPrometheus(first, promClient, { register })
  const before = register.getMetricsAsArray().length
  t.throws(() => collectPrometheus(second, promClient, { register }), refused)
  t.equal(register.getMetricsAsArray().length, before)
  collectPrometheus(second, promClient, { register, prefix: 'second_' })
  t.equal(register.getMetricsAsArray().length, 2 * before)
  await second.close()
  t.equal(register.getMetricsAsArray().length, before, 'each takes off its own')
})

t.test('prom-client: where the plugin is not, or the app is ready, nothing is registered', async (t) => {
  const register = new promClient.Registry()
  const bare = Fastify()
  const refused = { code: 'FST_WS_TICKET_NOT_REGISTERED', message: /await app\.register\(wsTicket, …\) first/ }
  t.throws(() => collectPrometheus(bare, promClient, { register }), refused)
  const ready = await buildApp(t)
  await ready.ready()
  t.throws(() => collectPrometheus(ready, promClient, { register }), tooLate)
  t.same(register.getMetricsAsArray(), [])
  t.notOk(channels.message.hasSubscribers)
})

t.test('arguments that have changed places or are something else are refused, and the message shows how it is called', async (t) => {
  const app = await buildApp(t)
  const [register, meter] = [new promClient.Registry(), createNoopMeter()]
  const prometheus: [unknown[], RegExp][] = [
    [[promClient, app], /^Option 'app' is no Fastify app, as it has no hasDecorator/],
    [[undefined, promClient], /'app' is no Fastify app/],
    [[app, register], /'client' is no prom-client, as it has no Counter/],
    [[app], /'client' is no prom-client/],
    [[app, promClient, null], /'options' is no object/],
    [[app, promClient, register], /'\w+' is not known/],
    [[app, promClient, { registry: register }], /'registry' is not known/],
    [[app, promClient, { register: {} }], /'register' is no registry, as it has no getSingleMetric/]
  ]
  for (const [given, message] of prometheus) {
    const usage = 'allowed: collectPrometheus(app, promClient, { register?, prefix? }).'
    const error = thrownBy(() => Reflect.apply(collectPrometheus, undefined, given))
    t.match(error, { code: 'FST_WS_TICKET_INVALID_OPTION', message })
    t.ok(error.message.endsWith(usage), error.message)
  }
  const openTelemetry: [unknown[], RegExp][] = [
    [[meter, app], /'app' is no Fastify app/],
    [[app, new MeterProvider()], /'meter' is no meter, as it has no createObservableCounter/],
    [[app, meter, 'mine.'], /'options' is no object/],
    [[app, meter, { perfix: 'mine.' }], /'perfix' is not known; allowed: collectOpenTelemetry\(app, metrics\.getMeter\('<name>'\)/]
  ]
  for (const [given, message] of openTelemetry) {
    t.throws(() => Reflect.apply(collectOpenTelemetry, undefined, given), { code: 'FST_WS_TICKET_INVALID_OPTION', message })
  }
  t.same(register.getMetricsAsArray(), [], 'nothing is registered')
})

t.test('each number that the dashboard asks for is there', async (t) => {
  const app = await buildApp(t)
  const register = new promClient.Registry()
  collectPrometheus(app, promClient, { register })
  const names = new Set((await register.getMetricsAsJSON()).map(({ name }) => name))
  const dashboard = readFileSync('examples/metrics/grafana-dashboard.json', 'utf8')
  const asked = new Set([...dashboard.matchAll(/ws_ticket_\w+/g)].map(([name]) => name.replace(/_bucket$/, '')))
  t.same([...asked].sort(), [...names].sort(), 'and nothing that is there is left out')
  const { panels } = JSON.parse(dashboard)
  t.equal(panels.length, 10)
  for (const { targets } of panels) {
    for (const { expr, legendFormat = '' } of targets) {
      const family = [...FAMILIES, HANDLER_SECONDS].find(({ name }) => expr.includes(`ws_ticket_${name}`))
      const given = new Set<string>([...(family?.labels ?? []), 'le', 'instance'])
      const named = [...`${expr} ${legendFormat}`.matchAll(/(?:by \(|\{+)([\w, ]+)/g)].flatMap(([, list = '']) => list.split(', '))
      t.same(
        named.filter((label) => !given.has(label)),
        [],
        expr
      )
    }
  }
})

t.test('OpenTelemetry shows the same numbers, until the app closes', async (t) => {
  const app = await buildApp(t)
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const provider = new MeterProvider({ readers: [reader] })
  t.teardown(() => provider.shutdown())
  collectOpenTelemetry(app, provider.getMeter('test'))
  const client = await useAll(t, app)
  const read = async () => {
    exporter.reset()
    await reader.forceFlush()
    const [collected] = exporter.getMetrics()
    const metrics = collected?.scopeMetrics.flatMap(({ metrics }) => metrics) ?? []
    return (name: string, labels: Attributes = {}): unknown => {
      const points = metrics.find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? []
      const isAsked = (attributes: Attributes) => Object.entries(labels).every(([label, value]) => attributes[label] === value)
      return points.find(({ attributes }) => isAsked(attributes))?.value
    }
  }
  const seen = await read()
  const told = app.wsTicket.stats()
  for (const { name, read: samplesOf } of FAMILIES) {
    const samples = samplesOf(told)
    t.ok(samples.length > 0, name)
    for (const { labels, value } of samples) t.equal(seen(`ws_ticket.${name.replace(/_total$/, '')}`, labels), value, name)
  }
  t.equal(seen('ws_ticket.connections'), 1)
  t.equal(seen('ws_ticket.tickets', { route: '/echo', outcome: 'issued' }), 3)
  t.equal(seen('ws_ticket.messages', { type: 'echo', outcome: 'ok' }), 1)
  t.match(seen('ws_ticket.handler.duration', { route: '/echo', type: 'echo' }), { count: 1 })
  client.socket.close()
  await app.close()
  const { stats } = app.wsTicket
  let asked = 0
  Object.assign(app.wsTicket, {
    stats: () => {
      asked++
      return stats()
    }
  })
  await read()
  t.equal(asked, 0, 'a closed app is not asked')
})

t.test(
  'OpenTelemetry: one app after another on a meter, but not two at once, nor where the plugin is not or the app is ready',
  async (t) => {
    const provider = new MeterProvider()
    t.teardown(() => provider.shutdown())
    const meter = provider.getMeter('test')
    let created = 0
    const counted: Meter = {
      createObservableCounter: (...args) => {
        created++
        return meter.createObservableCounter(...args)
      },
      createObservableGauge: (...args) => meter.createObservableGauge(...args),
      createHistogram: (...args) => meter.createHistogram(...args)
    }
    const [first, second, ready] = [await buildApp(t), await buildApp(t), await buildApp(t)]
    await ready.ready()
    t.throws(() => collectOpenTelemetry(Fastify(), counted), { code: 'FST_WS_TICKET_NOT_REGISTERED' })
    t.throws(() => collectOpenTelemetry(ready, counted), tooLate)
    t.equal(created, 0, 'nothing is registered')
    t.notOk(channels.message.hasSubscribers)

    collectOpenTelemetry(first, counted)
    const before = created
    t.throws(() => collectOpenTelemetry(second, counted), {
      code: 'FST_WS_TICKET_METER_TAKEN',
      message:
        "The meter shows another app under the prefix 'ws_ticket.' already; give each app a meter of its own: collectOpenTelemetry(app, metrics.getMeter('<name>'))."
    })
    t.equal(created, before)
    collectOpenTelemetry(second, counted, { prefix: 'second.' })
    await first.close()
    collectOpenTelemetry(second, counted)
    await second.close()
    t.notOk(channels.message.hasSubscribers)
  }
)

t.test('OpenTelemetry without an SDK: apps share the meter that shows nothing', async (t) => {
  for (const app of [await buildApp(t), await buildApp(t)]) {
    t.doesNotThrow(() => collectOpenTelemetry(app, createNoopMeter()))
  }
})

t.test('C9 a span is made of each handler, the parent of what it does, with the code of its error and never its text', async (t) => {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const contexts = new AsyncLocalStorageContextManager().enable()
  context.setGlobalContextManager(contexts)
  t.teardown(async () => {
    context.disable()
    await provider.shutdown()
  })
  const tracer = provider.getTracer('test')
  const app = await buildApp(t, { plugin: { traceMessage: traceOpenTelemetry(tracer) } })
  let asked = 0
  app.wsRoute('/echo', {
    contract: echoContract,
    handlers: {
      echo: ({ text }) => {
        tracer.startSpan('a query').end()
        if (text === 'broken') throw new Error('a secret')
        return { text }
      },
      // a query of some libraries is asked as often as it is awaited
      note: ({ text }) =>
        Object({
          // biome-ignore lint/suspicious/noThenProperty: that is what they do
          then(resolve: (value: unknown) => void, reject: (error: unknown) => void) {
            asked++
            if (text === 'broken') reject(Object.assign(new Error('a secret'), { statusCode: 409 }))
            else resolve(undefined)
          }
        })
    }
  })
  await listen(app)
  const client = await connect(t, app, '/echo')
  const { payload } = await client.next()
  t.match(await client.request('echo', { text: 'hello' }), { type: '$reply', payload: { text: 'hello' } })
  t.match(await client.request('note', { text: 'hello' }), { type: '$reply' })
  t.match(await client.request('echo', { text: 'broken' }), { payload: { code: 'FST_WS_TICKET_HANDLER_FAILED' } })
  t.match(await client.request('note', { text: 'broken' }), { payload: { statusCode: 409 } })
  t.equal(asked, 2, 'a query is asked once')

  const spans = exporter.getFinishedSpans()
  t.same(
    spans.map(({ name }) => name),
    ['a query', '/echo echo', '/echo note', 'a query', '/echo echo', '/echo note']
  )
  const [query, echo, , , brokenEcho, brokenNote] = spans
  t.equal(query?.parentSpanContext?.spanId, echo?.spanContext().spanId)
  const connection = Object(payload).connection
  t.strictSame(echo?.attributes, { 'ws_ticket.route': '/echo', 'ws_ticket.type': 'echo', 'ws_ticket.connection': connection })
  t.match([echo, brokenEcho, brokenNote], [{ status: { code: 0 } }, { status: { code: 2 } }, { status: { code: 2 } }])
  t.equal(brokenEcho?.attributes['error.type'], 'HTTP_500')
  t.equal(brokenNote?.attributes['error.type'], 'HTTP_409')
  t.notMatch(JSON.stringify(spans.map(({ attributes, events, status }) => ({ attributes, events, status }))), /a secret/)
  t.equal(trace.getActiveSpan(), undefined)
})
