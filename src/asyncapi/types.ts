/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject

export interface JsonObject {
  readonly [name: string]: Json
}

/** Points to another part of the document. */
export interface Reference {
  readonly $ref: string
}

/** A schema: JSON Schema draft 7 as AsyncAPI extends it, or one that says which format it is of. */
export type PayloadSchema = JsonObject | { readonly schemaFormat: string; readonly schema: JsonObject }

export interface AsyncApiServer {
  readonly host: string
  readonly protocol: 'ws' | 'wss'
  readonly pathname?: string
  readonly description?: string
  readonly security?: readonly Reference[]
}

export interface AsyncApiMessage {
  /** The `type` of the frame. */
  readonly name: string
  readonly title?: string
  readonly summary?: string
  /** The whole frame. */
  readonly payload: PayloadSchema
  readonly correlationId?: { readonly description: string; readonly location: string }
  readonly 'x-errors'?: readonly DescribedError[]
}

/** A code that a frame of type `$error` may carry. */
export interface DescribedError {
  readonly code: string
  readonly statusCode: number
  readonly message: string
}

/** A parameter of an address. */
export interface AsyncApiParameter {
  readonly description?: string
  readonly enum?: readonly string[]
  readonly default?: string
  readonly examples?: readonly string[]
  /** The whole schema; AsyncAPI has none here. */
  readonly 'x-schema'?: JsonObject
}

/** A token bucket. */
export interface DescribedRate {
  readonly max: number
  /** In milliseconds. */
  readonly timeWindow: number
  readonly burst: number
  /** Whom it counts by. */
  readonly per: 'connection' | 'user' | 'ip'
}

/** What holds for each connection of a channel. Times are in milliseconds, sizes in bytes. */
export interface DescribedLimits {
  readonly rateLimit: DescribedRate
  readonly maxPayload: number
  readonly maxDepth: number
  readonly inFlight: number
  readonly maxQueued: number
  readonly messageTimeout: number
  readonly handlerTimeout: number
  readonly idleTimeout: number | false
  readonly maxSession: number
  readonly maxConnectionsPerUser: number
}

/** Where the ticket of a channel is had from. */
export interface DescribedTicketRoute {
  readonly method: 'POST'
  readonly path: string
  readonly security: readonly Reference[]
  /** The same route in the OpenAPI document. */
  readonly openapi?: string
}

export interface AsyncApiChannel {
  readonly address: string
  readonly description: string
  readonly messages: Readonly<Record<string, AsyncApiMessage | Reference>>
  readonly parameters?: Readonly<Record<string, AsyncApiParameter>>
  readonly tags?: readonly { readonly name: string }[]
  readonly externalDocs?: { readonly description: string; readonly url: string }
  readonly bindings: {
    readonly ws: { readonly method: 'GET'; readonly query?: JsonObject; readonly headers: JsonObject; readonly bindingVersion: '0.1.0' }
  }
  readonly 'x-ticket': DescribedTicketRoute
  readonly 'x-limits': DescribedLimits
  /** Where Fastify's constraints tell routes of one address apart. */
  readonly 'x-constraints'?: Readonly<Record<string, string>>
}

export interface AsyncApiOperation {
  /** From the server's side: it receives messages, and sends events. */
  readonly action: 'receive' | 'send'
  /** The `type` of its frame. */
  readonly title: string
  readonly channel: Reference
  readonly messages: readonly Reference[]
  readonly reply?: { readonly channel: Reference; readonly messages: readonly Reference[] }
  readonly security: readonly Reference[]
  readonly 'x-rate-limit'?: DescribedRate
}

export type AsyncApiSecurityScheme =
  | { readonly type: 'httpApiKey'; readonly in: 'header' | 'query'; readonly name: string; readonly description: string }
  | { readonly type: 'http'; readonly scheme: 'bearer'; readonly bearerFormat: 'JWT'; readonly description: string }

/** An AsyncAPI 3.0 document, as far as this package writes it. Plain JSON. */
export interface AsyncApiDocument {
  readonly asyncapi: '3.0.0'
  readonly info: { readonly title: string; readonly version: string; readonly description?: string }
  readonly defaultContentType: 'application/json'
  readonly servers?: Readonly<Record<string, AsyncApiServer>>
  readonly channels: Readonly<Record<string, AsyncApiChannel>>
  readonly operations: Readonly<Record<string, AsyncApiOperation>>
  readonly components: {
    readonly messages: Readonly<Record<string, AsyncApiMessage>>
    readonly securitySchemes: Readonly<Record<string, AsyncApiSecurityScheme>>
  }
  /** The codes that the server closes connections with. */
  readonly 'x-close-codes': readonly { readonly code: number; readonly name: string }[]
}
