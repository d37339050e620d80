import type { Contract } from '../contract.js'
import type { MessageTable } from '../message/messages.js'
import type { ConnectionCaps, ConnectionSettings } from '../options.js'
import type { RouteSchema } from './route-options.js'

/** What is to be told of a route in a document. */
export interface DescribedRoute {
  /** The path with its prefix, as Fastify writes it. */
  readonly address: string
  readonly constraints: object
  readonly contract: Contract
  readonly table: MessageTable
  readonly schema: RouteSchema<unknown>
  readonly settings: ConnectionSettings
  readonly caps: ConnectionCaps
}
