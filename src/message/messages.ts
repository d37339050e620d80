import type { Contract } from '../contract.js'
import { fail } from '../errors.js'
import type { MessageMetrics } from '../metrics/message-metrics.js'
import type { RouteMetrics } from '../metrics/route-metrics.js'
import type { TraceMessage } from '../metrics/trace.js'
import { show } from '../option-schema.js'
import { type ConnectionSettings, parseRate, type RateSettings } from '../options.js'
import { CONTROL_PREFIX, ControlType } from '../protocol.js'
import type { MessageConnection } from './connection.js'
import { ConnectionLimit, type CreateSharedLimit, type LimitScope, type MessageLimit, type SweptLimit } from './limit.js'
import { compileSchema, looksLikeSchema, type Validator } from './schema.js'
import { listTypes } from './unknown-type.js'

/** One type of message, compiled when the route is declared. */
export interface MessageDefinition {
  readonly payload: Validator
  readonly reply: Validator | undefined
  readonly limit: MessageLimit | undefined
  /** What the limit was made from. */
  readonly rate?: TypeRate | undefined
  readonly metrics: MessageMetrics
  handle(payload: unknown, connection: MessageConnection): unknown
}

/** The rate of one type of message, and whom it counts by. */
export interface TypeRate extends RateSettings {
  readonly per: LimitScope
}

/** All that a route needs to know of its messages and events. */
export interface MessageTable {
  readonly definitions: ReadonlyMap<string, MessageDefinition>
  /** The types of the contract, as an error lists them. */
  readonly knownTypes: string
  readonly events: ReadonlyMap<string, Validator>
  /** All messages of a connection. */
  readonly limit: MessageLimit
  /** Messages over a limit; when it is used up, the connection is closed. */
  readonly violations: MessageLimit
  /** Messages that are not acceptable; when it is used up, the connection is closed. */
  readonly badMessages: MessageLimit
  /** Frames that complete no message; when it is used up, the connection is closed. */
  readonly frames: MessageLimit
  /** `$refresh`: each may ask the ticket store. */
  readonly refreshes: MessageLimit
  /** Lines in the log about bad messages, and about messages that could not be checked. */
  readonly badLines: MessageLimit
  readonly faultLines: MessageLimit
  readonly pings: MessageMetrics
  /** Frames that are no message of the contract. */
  readonly unknown: MessageMetrics
  /** The limits among these whose state outlives connections. */
  readonly swept: readonly SweptLimit[]
}

/** A sample is enough: whoever sends bad messages must not fill the log. */
const ONE_LINE = { max: 1, timeWindowMs: 60_000, burst: 1 }

/** A handler of whatever contract, as it comes from the route's options. */
type AnyHandler = (payload: never, connection: never) => unknown

/** What the messages of a route are compiled with. */
export interface CompileOptions {
  readonly settings: ConnectionSettings
  readonly createSharedLimit: CreateSharedLimit
  readonly metrics: RouteMetrics
  readonly traceMessage: TraceMessage | undefined
}

/**
 * Compiles a contract and its handlers.
 * @throws FST_WS_TICKET_INVALID_CONTRACT, FST_WS_TICKET_INVALID_OPTION
 */
export function compileMessages(route: string, contract: Contract, handlers: object, options: CompileOptions): MessageTable {
  const { settings, metrics } = options
  const compiler = new MessageCompiler(route, options)
  const limit = compiler.connectionLimit(settings.rateLimit)
  const violations = compiler.connectionLimit(settings.limitViolations)
  const badMessages = compiler.connectionLimit(settings.badMessages)
  const frames = compiler.connectionLimit(settings.frameLimit)
  const refreshes = compiler.connectionLimit(settings.refreshLimit)
  const badLines = compiler.connectionLimit(ONE_LINE)
  const faultLines = compiler.connectionLimit(ONE_LINE)
  compiler.checkNames(contract, handlers)
  const definitions = Object.entries(contract.messages).map(([type, message]) => {
    return [type, compiler.definition(type, message, Object.hasOwn(handlers, type) ? Reflect.get(handlers, type) : undefined)] as const
  })
  const events = Object.entries(contract.events).map(([type, schema]) => [type, compiler.event(type, schema)] as const)
  const limits = { limit, violations, badMessages, frames, refreshes, badLines, faultLines, swept: compiler.swept }
  const others = { pings: metrics.messages(ControlType.ping), unknown: metrics.messages('$unknown') }
  const knownTypes = listTypes(Object.keys(contract.messages))
  return { definitions: new Map(definitions), knownTypes, events: new Map(events), ...limits, ...others }
}

class MessageCompiler {
  readonly swept: SweptLimit[] = []
  readonly #route: string
  readonly #options: CompileOptions
  #connectionLimits = 0

  constructor(route: string, options: CompileOptions) {
    this.#route = route
    this.#options = options
  }

  checkNames(contract: Contract, handlers: object): void {
    const types = Object.keys(contract.messages)
    const reserved = [...types, ...Object.keys(contract.events)].find((type) => type === '' || type.startsWith(CONTROL_PREFIX))
    if (reserved !== undefined)
      throw this.#invalid(`the type '${reserved}' is not allowed; use a name that does not begin with ${CONTROL_PREFIX}`)
    this.#checkKeys('the contract', contract, ['messages', 'events'])
    const stray = Object.keys(handlers).find((type) => !types.includes(type))
    if (stray !== undefined)
      throw this.#invalid(`handlers has '${stray}', which is no message of the contract; it has: ${types.join(', ') || 'none'}`)
  }

  definition(type: string, message: unknown, given: unknown): MessageDefinition {
    const { handler, rateLimit } = this.#handlerOptions(type, given)
    if (isSchema(message))
      throw this.#invalid(`the message '${type}' is a schema; that of a message stands in payload: { payload, reply? }`)
    this.#checkKeys(`the message '${type}'`, Object(message), ['payload', 'reply'])
    const { payload, reply } = Object.assign({ payload: undefined, reply: undefined }, message)
    const rate = rateLimit === undefined ? undefined : this.#typeRate(type, rateLimit)
    return {
      payload: this.schema(`${type}, payload`, payload),
      reply: reply === undefined ? undefined : this.schema(`${type}, reply`, reply),
      rate,
      limit: rate && this.#typeLimit(type, rate),
      metrics: this.#options.metrics.messages(type),
      handle: this.#traced(type, (payload, connection) => Reflect.apply(handler, undefined, [payload, connection]))
    }
  }

  #traced(type: string, handle: MessageDefinition['handle']): MessageDefinition['handle'] {
    const { traceMessage } = this.#options
    if (!traceMessage) return handle
    return (payload, connection) => {
      return traceMessage({ route: this.#route, type, connection: connection.id }, () => handle(payload, connection))
    }
  }

  event(type: string, schema: unknown): Validator {
    if (isObject(schema) && 'payload' in schema && !isSchema(schema)) {
      throw this.#invalid(`${type}: there is no schema; that of an event stands by itself, and not in payload`)
    }
    return this.schema(type, schema)
  }

  schema(where: string, schema: unknown): Validator {
    if (!isSchema(schema)) {
      const given = schema === undefined ? '' : `, but ${show(schema)}`
      throw this.#invalid(`${where}: there is no schema${given}; give a TypeBox schema, such as Type.Object({ text: Type.String() })`)
    }
    try {
      return compileSchema(schema)
    } catch (error) {
      throw this.#invalid(`${where}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  connectionLimit(rate: ConstructorParameters<typeof ConnectionLimit>[0]): ConnectionLimit {
    return new ConnectionLimit(rate, this.#connectionLimits++)
  }

  #typeRate(type: string, given: unknown): TypeRate {
    const where = `${this.#route}: rateLimit of '${type}'`
    if (!isObject(given)) throw fail('INVALID_OPTION', [`${where} is ${show(given)}; allowed: { max, timeWindow, burst?, per? }.`])
    const { per, ...rate } = Object.assign({ per: undefined }, given)
    const scope: unknown = per ?? 'connection'
    if (scope !== 'connection' && scope !== 'user' && scope !== 'ip') {
      throw fail('INVALID_OPTION', [`${where}: 'per' is ${show(scope)}; allowed: 'connection', 'user' or 'ip'.`])
    }
    return { ...parseRate(where, rate), per: scope }
  }

  #typeLimit(type: string, { per, ...rate }: TypeRate): MessageLimit {
    if (per === 'connection') return this.connectionLimit(rate)
    const limit = this.#options.createSharedLimit(rate, per, `${this.#route} ${type}`)
    this.swept.push(limit)
    return limit
  }

  #checkKeys(where: string, object: object, allowed: readonly string[]): void {
    const stray = Object.keys(object).find((key) => !allowed.includes(key))
    if (stray !== undefined) throw this.#invalid(`${where} has '${stray}'; allowed: ${allowed.join(', ')}`)
  }

  #handlerOptions(type: string, given: unknown): { handler: AnyHandler; rateLimit?: unknown } {
    if (isFunction(given)) return { handler: given }
    const { handler, rateLimit, ...others } = Object.assign({ handler: undefined, rateLimit: undefined }, given)
    if (!isFunction(handler)) throw this.#invalid(`there is no handler for '${type}'; give a function, or { handler, rateLimit? }`)
    const [stray] = Object.keys(others)
    if (stray !== undefined) throw this.#invalid(`the handler of '${type}' has the option '${stray}'; allowed: handler, rateLimit`)
    return { handler, rateLimit }
  }

  #invalid(problem: string): Error {
    return fail('INVALID_CONTRACT', [this.#route, problem])
  }
}

function isSchema(value: unknown): value is object {
  return isObject(value) && looksLikeSchema(value)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isFunction(value: unknown): value is AnyHandler {
  return typeof value === 'function'
}
