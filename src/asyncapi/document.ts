import type { Settings } from '../options.js'
import { CloseCode } from '../protocol.js'
import type { DescribedRoute } from '../route/described-route.js'
import { channelOf } from './channel.js'
import { contentOf } from './channel-content.js'
import { controlMessages } from './control.js'
import { connectionSecurity, securitySchemes } from './handshake.js'
import { type AsyncApiInfo, parseInfo } from './info.js'
import { Keys } from './keys.js'
import type { AsyncApiChannel, AsyncApiDocument, AsyncApiOperation, AsyncApiServer } from './types.js'

/**
 * The AsyncAPI 3.0 document of these routes: a channel each, in the order of their addresses, with the contract's messages and
 * events in its own order. Routes that are hidden from OpenAPI are left out here, too.
 * @throws FST_WS_TICKET_INVALID_OPTION when `info` is not acceptable
 */
export function asyncApiDocument(routes: readonly DescribedRoute[], settings: Settings, given: AsyncApiInfo = {}): AsyncApiDocument {
  const { servers, openapi, ...info } = parseInfo(given)
  const security = connectionSecurity(settings)
  const keys = { channels: new Keys(), operations: new Keys() }
  const channels: Record<string, AsyncApiChannel> = {}
  const operations: Record<string, AsyncApiOperation> = {}
  for (const route of inOrder(routes)) {
    const key = keys.channels.of(keyOf(route.address))
    const content = contentOf({ key, operationKeys: keys.operations, security }, route)
    channels[key] = { ...channelOf(route, { key, settings, openapi }), messages: content.messages }
    Object.assign(operations, content.operations)
  }
  return {
    asyncapi: '3.0.0',
    info,
    defaultContentType: 'application/json',
    ...(servers && { servers: withSecurity(servers, security) }),
    channels,
    operations,
    components: { messages: controlMessages(), securitySchemes: securitySchemes(settings) },
    'x-close-codes': Object.entries(CloseCode).map(([name, code]) => ({ code, name }))
  }
}

function inOrder(routes: readonly DescribedRoute[]): DescribedRoute[] {
  return routes.filter(({ schema }) => schema.hide !== true).sort((one, other) => compare(sortKey(one), sortKey(other)))
}

function sortKey({ address, constraints }: DescribedRoute): string {
  return `${address} ${Object.entries(constraints).join()}`
}

function compare(one: string, other: string): number {
  return Number(one > other) - Number(one < other)
}

/** `/rooms/:room` is `rooms.room`. */
function keyOf(address: string): string {
  return address.split(/[/:]+/).filter(Boolean).join('.') || 'root'
}

function withSecurity(
  servers: Record<string, AsyncApiServer>,
  security: AsyncApiServer['security'] & object
): Record<string, AsyncApiServer> {
  return Object.fromEntries(Object.entries(servers).map(([name, server]) => [name, { ...server, security }]))
}
