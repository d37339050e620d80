import type { FastifyInstance } from 'fastify'
import { fail } from '../errors.js'
import { type CompileOptions, compileMessages, type MessageTable } from '../message/messages.js'
import { RouteMetrics } from '../metrics/route-metrics.js'
import { show } from '../option-schema.js'
import { parseRouteLimits } from '../options.js'
import { ControlType } from '../protocol.js'
import { RoutePublisher } from '../publish/publisher.js'
import { maxPayloadOf } from '../upgrade/app-server.js'
import { declareAt, ticketPathOf, withConstraints } from './address.js'
import { refreshMessage } from './refresh.js'
import { RouteHost } from './route-host.js'
import { type AnyRouteOptions, type SplitOptions, splitOptions } from './route-options.js'
import type { RouteScope } from './route-scope.js'
import { declareTicketRoute } from './ticket-route.js'
import { declareUpgradeRoute } from './upgrade-route.js'

/**
 * Declares what `app.wsRoute` stands for: `POST <path>/ticket` and the upgrade at `GET <path>`.
 * @throws FST_WS_TICKET_INVALID_OPTION, FST_WS_TICKET_INVALID_CONTRACT, FST_WS_TICKET_ADDRESS_TAKEN
 */
export function declareRoute(app: FastifyInstance, scope: RouteScope, path: string, options: AnyRouteOptions): RoutePublisher {
  checkArguments(app.prefix, path, options)
  const address = `${app.prefix}${path}`
  checkEnd(address)
  const { own, fastify, limits } = splitOptions(address, options)
  checkFunctions(address, own)
  checkSchema(address, own.schema)
  const { connection: wished, caps } = parseRouteLimits(address, scope.settings, limits)
  // what the app's own server does not take is no message of ours either
  const connection = { ...wished, maxPayload: Math.min(wished.maxPayload, maxPayloadOf(app.websocketServer)) }
  const id = withConstraints(address, fastify.constraints)
  const metrics = new RouteMetrics(scope.publisher, id)
  const host = new RouteHost({
    id,
    settings: connection,
    clock: scope.settings.clock,
    log: app.log,
    table: messageTable(id, own, scope, { settings: connection, metrics }),
    hooks: own,
    bus: scope.bus,
    metrics
  })
  const route = {
    id,
    path,
    fastify: fastify.helmet === undefined ? { ...scope.routeDefaults, ...fastify } : fastify,
    schema: own.schema ?? {},
    limits: scope.limits.ofRoute(caps, id),
    metrics,
    authorize: own.authorize ?? (() => undefined)
  }
  declareAt({ path: address, method: 'POST', url: ticketPathOf(address) }, () => declareTicketRoute(app, scope, route))
  declareAt({ path: address, method: 'GET', url: address }, () => declareUpgradeRoute(app, scope, route, host))
  scope.addresses.add(address, fastify.constraints)
  scope.hub.add(host)
  scope.hosts.add(host)
  scope.routeLimits.add(route.limits)
  scope.described.push({
    address: addressOf(app.prefix, path),
    constraints: fastify.constraints ?? {},
    contract: own.contract,
    table: host.table,
    schema: route.schema,
    settings: connection,
    caps
  })
  const publisher = new RoutePublisher(scope, host)
  scope.publisher.add(publisher)
  return publisher
}

/** What clients are told: a slash by itself behind a prefix is left out, as Fastify answers without it, too. */
function addressOf(prefix: string, path: string): string {
  return prefix !== '' && path === '/' ? prefix : `${prefix}${path}`
}

function messageTable(
  id: string,
  { contract, handlers }: SplitOptions['own'],
  scope: RouteScope,
  { settings, metrics }: Pick<CompileOptions, 'settings' | 'metrics'>
): MessageTable {
  if (!isObject(contract) || !isObject(contract.messages) || !isObject(contract.events)) {
    throw fail('INVALID_CONTRACT', [id, `contract is ${show(contract)}; give what defineContract({ messages, events }) returns`])
  }
  if (!isObject(handlers)) {
    throw fail('INVALID_CONTRACT', [id, `handlers is ${show(handlers)}; give an object with a handler for each message`])
  }
  const { createSharedLimit, redeemStage } = scope
  const { traceMessage } = scope.settings
  const table = compileMessages(id, contract, handlers, { settings, createSharedLimit, metrics, traceMessage })
  const definitions = new Map(table.definitions).set(ControlType.refresh, refreshMessage({ ...redeemStage, metrics }, id, table.refreshes))
  return { ...table, definitions }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

const OWN_SCHEMAS = ['body', 'response']

function checkSchema(route: string, schema: object | undefined): void {
  const stray = Object.keys(schema ?? {}).find((name) => OWN_SCHEMAS.includes(name))
  if (stray === undefined) return
  throw fail('INVALID_OPTION', [`${route}: 'schema.${stray}' is not for the app to give; allowed: params, querystring, headers.`])
}

const USAGE = "app.wsRoute('/chat', { contract, handlers })"

function checkArguments(prefix: string, path: unknown, options: unknown): void {
  if (typeof path !== 'string' || !`${prefix}${path}`.startsWith('/')) {
    throw fail('INVALID_OPTION', [`'path' is ${show(path)}; allowed: a text that begins with /, the options behind it: ${USAGE}.`])
  }
  if (isObject(options)) return
  throw fail('INVALID_OPTION', [`${prefix}${path}: 'options' is ${show(options)}; allowed: an object, as in ${USAGE}.`])
}

function checkEnd(address: string): void {
  if (!/[*?]\/?$/.test(address)) return
  throw fail('INVALID_OPTION', [`${address}: the path must not end in a wildcard or an optional parameter, as /ticket stands behind it.`])
}

function checkFunctions(route: string, own: SplitOptions['own']): void {
  for (const name of ['authorize', 'onOpen', 'onClose'] as const) {
    const value: unknown = own[name]
    if (value === undefined || typeof value === 'function') continue
    throw fail('INVALID_OPTION', [`${route}: '${name}' is ${show(value)}; allowed: a function.`])
  }
}
