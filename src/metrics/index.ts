export type { CloseEvent, ExpiryEvent, HandshakeEvent, MessageEvent, RedemptionEvent, TicketEvent } from './events.js'
export { collectOpenTelemetry, type Meter, type Tracer, traceOpenTelemetry } from './open-telemetry.js'
export { collectPrometheus, type PromClient, type PrometheusOptions, type PromRegistry } from './prometheus.js'
export type { TracedMessage, TraceMessage } from './trace.js'
