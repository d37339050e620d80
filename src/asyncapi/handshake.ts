import { escapePointer } from '../json-pointer.js'
import type { Settings } from '../options.js'
import { SUBPROTOCOL, TICKET_PROTOCOL_PREFIX } from '../protocol.js'
import type { DescribedRoute } from '../route/described-route.js'
import type { Address } from './address.js'
import { isPlainObject } from './json.js'
import { writeSchema } from './schema.js'
import type { AsyncApiChannel, AsyncApiParameter, AsyncApiSecurityScheme, JsonObject, Reference } from './types.js'

/** Where a ticket may be put, and what a ticket is asked for with. */
export function securitySchemes(settings: Settings): Record<string, AsyncApiSecurityScheme> {
  return {
    ...(settings.ticketInSubprotocol && {
      ticket: {
        type: 'httpApiKey',
        in: 'header',
        name: 'Sec-WebSocket-Protocol',
        description: `\`${SUBPROTOCOL}, ${TICKET_PROTOCOL_PREFIX}<ticket>\`: the protocols that the ticket route answers. Good once, for one connection.`
      }
    }),
    ...(settings.ticketInQuery && {
      ticketInQuery: { type: 'httpApiKey', in: 'query', name: 'ticket', description: 'The ticket. Good once, for one connection.' }
    }),
    ...(!settings.authenticate && {
      bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'Of the ticket route; no upgrade carries it.' }
    })
  }
}

/** Any of them will do. */
export function connectionSecurity(settings: Settings): Reference[] {
  return Object.keys(securitySchemes(settings))
    .filter((name) => name !== 'bearer')
    .map(schemeReference)
}

/** What the ticket route asks for: the app's own check can not be described. */
export function ticketSecurity(settings: Settings): Reference[] {
  return settings.authenticate ? [] : [schemeReference('bearer')]
}

function schemeReference(name: string): Reference {
  return { $ref: `#/components/securitySchemes/${name}` }
}

/** The upgrade, as a binding of WebSockets 0.1.0. */
export function webSocketBinding(pointer: string, { schema }: DescribedRoute, settings: Settings): AsyncApiChannel['bindings'] {
  const query = objectSchema(`${pointer}/query`, schema.querystring, settings.ticketInQuery ? { ticket: { type: 'string' } } : {})
  const headers = objectSchema(`${pointer}/headers`, schema.headers, {
    'Sec-WebSocket-Protocol': { type: 'string', description: `${SUBPROTOCOL}${settings.ticketInSubprotocol ? ` and the ticket` : ''}` },
    Origin: { type: 'string', description: 'One that the server allows, and that the ticket was asked for from; browsers send it' }
  })
  const hasQuery = Object.keys(Object(query.properties)).length > 0
  return { ws: { method: 'GET', ...(hasQuery && { query }), headers, bindingVersion: '0.1.0' } }
}

/** The binding demands `type: 'object'` and `properties`. */
function objectSchema(pointer: string, schema: object = {}, ours: JsonObject): JsonObject {
  const written = writeSchema(pointer, schema)
  return { ...written, type: 'object', properties: { ...Object(written.properties), ...ours } }
}

/** The parameters of an address, which in AsyncAPI are texts without a schema. */
export function parametersOf(
  pointer: string,
  { parameters }: Address,
  { schema }: DescribedRoute
): Record<string, AsyncApiParameter> | undefined {
  if (parameters.length === 0) return undefined
  const properties: unknown = Reflect.get(Object(schema.params), 'properties')
  const entries = parameters.map((name) => {
    const schema: unknown = Reflect.get(Object(properties), name)
    return [name, isPlainObject(schema) ? parameterOf(writeSchema(`${pointer}/${escapePointer(name)}/x-schema`, schema)) : {}] as const
  })
  return Object.fromEntries(entries)
}

function parameterOf(schema: JsonObject): AsyncApiParameter {
  const { description, enum: values, default: byDefault, examples } = schema
  return {
    ...(typeof description === 'string' && { description }),
    ...(Array.isArray(values) && { enum: values.map(String) }),
    ...(byDefault !== undefined && { default: String(byDefault) }),
    ...(Array.isArray(examples) && { examples: examples.map(String) }),
    'x-schema': schema
  }
}
