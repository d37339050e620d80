import type { FastifyContextConfig, FastifyRequest, RouteShorthandOptions } from 'fastify'
import type { Static, TSchema } from 'typebox'
import type { Connection } from '../connection/connection.js'
import type { Contract } from '../contract.js'
import { fail } from '../errors.js'
import type { Jsonified } from '../jsonified.js'
import { type RouteLimits, routeOptionNames } from '../options.js'
import type { Handlers } from './handlers.js'

/** The parameters that a path names: `'/rooms/:room'` has `{ room: string }`. */
export type PathParams<Path extends string> = Path extends `${infer Head}/${infer Tail}`
  ? PathParams<Head> & PathParams<Tail>
  : Path extends `:${infer Name}?`
    ? { [N in ParamName<Name>]?: string }
    : Path extends `:${infer Name}`
      ? { [N in ParamName<Name>]: string }
      : Path extends '*'
        ? { '*': string }
        : unknown

/** `:id(^\\d+$)` names `id`. */
type ParamName<Text extends string> = Text extends `${infer Name}(${string}` ? Name : Text

/** The type of `connection.params`: what `schema.params` says, else what the path says. */
export type ParamsOf<Path extends string, Params> = [Params] extends [TSchema] ? Static<Params> : PathParams<Path>

/**
 * The type of `connection.context`: what `authorize` returns, as JSON; null without. Until TypeScript has seen what `authorize`
 * returns it is `never`, which every handler takes.
 */
export type ContextOf<Context, Given> = [Context] extends [never] ? ('authorize' extends Given ? never : null) : Jsonified<Context>

type Nothing = undefined | void

/** Nothing in one case and a value in another? Not where it may be anything, nor, which takes the brackets, where it is not known yet. */
type IsMixed<Context> = [unknown] extends [Context]
  ? false
  : [Context] extends [Nothing]
    ? false
    : [Extract<Context, Nothing>] extends [never]
      ? false
      : true

/**
 * What `app.wsRoute` asks of `authorize` besides: no answer that is nothing in one case and a value in another, as that of
 * `roles.get(request.ip)`, since returning nothing admits. To return nothing always is what a check does that throws. A
 * function that is generic in its context is asked nothing.
 */
export type AuthorizeAnswer<Context> =
  IsMixed<Context> extends true
    ? { readonly authorize?: AuthorizeMustNotReturnUndefinedBesideAValueAsThatAdmits_ReturnFalseToRefuse }
    : unknown

/**
 * What `authorize` may return besides while TypeScript takes it to return nothing but false, as it does once it has read a handler
 * that stands before it: a type that nothing has, whose name says what to do. A function that always throws, or refuses, is as right.
 */
export type OrderAdvice<Context> = [Context] extends [never] ? WriteAuthorizeBeforeHandlersAndOnOpenAndOnClose : never

declare const mark: unique symbol

/** Its name is what TypeScript says of a function that is none. */
interface AuthorizeMustNotReturnUndefinedBesideAValueAsThatAdmits_ReturnFalseToRefuse {
  readonly [mark]: never
}

interface WriteAuthorizeBeforeHandlersAndOnOpenAndOnClose {
  readonly [mark]: never
}

/** The options of Fastify's own routes; they hold for the ticket route and the upgrade alike. */
export type FastifyRouteOptions = Pick<
  RouteShorthandOptions,
  'onRequest' | 'preParsing' | 'preValidation' | 'preHandler' | 'onError' | 'constraints' | 'errorHandler' | 'logLevel' | 'helmet'
> & {
  /** What a hook reads from `request.routeOptions.config`. */
  config?: FastifyContextConfig & Record<string, unknown>
}

/** What `app.wsRoute(path, options)` takes. */
export interface WsRouteOptions<C extends Contract, Context, Path extends string, Params, Connected = Jsonified<Context>>
  extends FastifyRouteOptions,
    RouteLimits {
  /** What the route speaks; see `defineContract`. */
  contract: C
  /** A handler for each message of the contract. */
  handlers: Handlers<C, Connected, ParamsOf<Path, Params>>
  /**
   * May the caller connect? Runs when a ticket is asked for, with `request.user` verified. Return false (403), or throw an
   * error with a `statusCode` from 400 to 499, to refuse; any other error is logged and not told (500
   * FST_WS_TICKET_AUTHORIZE_FAILED). Returning nothing admits, so `request.user.admin` alone admits everybody who has no such
   * claim: say `=== true`, or `?? false`; `app.wsRoute` refuses a type that is `undefined` or a value. What it returns, plain
   * JSON, becomes `connection.context`.
   */
  authorize?: (
    request: FastifyRequest<{ Params: ParamsOf<Path, Params> }>
  ) => Context | false | OrderAdvice<Context> | Promise<Context | false | OrderAdvice<Context>>
  /** Runs after `$welcome`, before the first message is handled. When it fails the connection is closed with 1011. */
  onOpen?: (connection: Connection<C, Connected, ParamsOf<Path, Params>>) => void | Promise<void>
  /** Runs once when the connection is closed, with the close code and reason. */
  onClose?: (connection: Connection<C, Connected, ParamsOf<Path, Params>>, code: number, reason: string) => void | Promise<void>
  /** Schemas of the path's parameters and the query, and what @fastify/swagger shows of the ticket route. */
  schema?: RouteSchema<Params>
}

export interface RouteSchema<Params> {
  params?: Params
  querystring?: object
  headers?: object
  tags?: string[]
  summary?: string
  description?: string
  operationId?: string
  security?: readonly { [scheme: string]: readonly string[] }[]
  /** Where else the route is described, such as in the AsyncAPI document. */
  externalDocs?: { url: string; description?: string }
  /** Leaves the route out of OpenAPI and AsyncAPI. */
  hide?: boolean
}

/** A route's options whatever its contract. */
export type AnyRouteOptions = WsRouteOptions<Contract, unknown, string, unknown>

const OWN = ['contract', 'handlers', 'authorize', 'onOpen', 'onClose', 'schema'] as const
const FASTIFY = [
  'onRequest',
  'preParsing',
  'preValidation',
  'preHandler',
  'onError',
  'config',
  'constraints',
  'errorHandler',
  'logLevel',
  'helmet'
] as const

/** The options of a route, sorted by whom they are for. */
export interface SplitOptions {
  readonly own: Pick<AnyRouteOptions, (typeof OWN)[number]>
  readonly fastify: FastifyRouteOptions
  readonly limits: RouteLimits
}

/** @throws FST_WS_TICKET_INVALID_OPTION for an option that nobody knows */
export function splitOptions(route: string, options: AnyRouteOptions): SplitOptions {
  const known: ReadonlySet<string> = new Set([...OWN, ...FASTIFY, ...routeOptionNames])
  const stray = Object.keys(options).find((name) => !known.has(name))
  if (stray !== undefined) {
    const hint = stray === 'messages' || stray === 'events' ? ' It stands in the contract: defineContract({ messages, events }).' : ''
    throw fail('INVALID_OPTION', [`${route}: '${stray}' is not known; allowed: ${[...known].join(', ')}.${hint}`])
  }
  return { own: pick(options, OWN), fastify: pick(options, FASTIFY), limits: pick(options, routeOptionNames) }
}

/** The options of these names that are given. */
function pick<T extends object, K extends keyof T>(options: T, names: readonly K[]): Pick<T, K> {
  const given = names.filter((name) => options[name] !== undefined).map((name) => ({ [name]: options[name] }))
  return Object.assign({}, ...given)
}
