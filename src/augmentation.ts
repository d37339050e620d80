import type { AsyncApiInfo } from './asyncapi/info.js'
import type { AsyncApiDocument } from './asyncapi/types.js'
import type { Connection } from './connection/connection.js'
import type { Contract } from './contract.js'
import type { Target } from './publish/bus.js'
import type { Delivery, Disconnection, WsRoute } from './publish/publisher.js'
import type { AnyRouteOptions, AuthorizeAnswer, ContextOf, ParamsOf, WsRouteOptions } from './route/route-options.js'
import type { Stats } from './stats.js'
import '@fastify/websocket'
import '@fastify/rate-limit'
import '@fastify/helmet'

/** Publishing over all routes: `app.wsTicket`. An event goes through every route whose contract has it. */
export interface WsTicket {
  /** As a route's `publish`. */
  publish(topic: string, event: string, payload: unknown): Delivery
  /** As a route's `send`. */
  send(target: Target, event: string, payload: unknown): Delivery
  /** As a route's `disconnect`, on all routes. */
  disconnect(target: Target, code?: number): Promise<Disconnection>
  /** The open connections of all routes on this node. */
  connections(): Connection[]
  /** What there is on this node at the moment. */
  stats(): Stats
  /**
   * The AsyncAPI 3.0 document of all routes declared so far, plain JSON: channels, messages, errors, limits, how to connect.
   * See https://www.asyncapi.com/docs/reference/specification/v3.0.0
   * @param info title (default `'WebSocket API'`), version (`'1.0.0'`), description, servers, and where the OpenAPI document is
   * @throws FST_WS_TICKET_INVALID_OPTION
   */
  asyncapi(info?: AsyncApiInfo): AsyncApiDocument
}

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Declares a WebSocket route: `POST <path>/ticket` issues tickets, `GET <path>` is the upgrade that redeems one.
     * @throws FST_WS_TICKET_INVALID_OPTION, FST_WS_TICKET_INVALID_CONTRACT, FST_WS_TICKET_ADDRESS_TAKEN
     */
    wsRoute<
      C extends Contract,
      const Path extends string,
      Context = never,
      Params = undefined,
      Given extends keyof AnyRouteOptions = never
    >(
      path: Path,
      options: WsRouteOptions<C, Context, Path, Params, NoInfer<ContextOf<Context, Given>>> & {
        readonly [Name in Given]?: unknown
      } & NoInfer<AuthorizeAnswer<Context>>
    ): WsRoute<C, ContextOf<Context, Given>, ParamsOf<Path, Params>>

    /** Publishing over all routes, and `stats()`. */
    wsTicket: WsTicket
  }

  interface FastifyRequest {
    /**
     * Is this the upgrade of a route of `app.wsRoute`? It carries a ticket and no JWT; a hook of the app's that calls
     * `jwtVerify` for every request has to leave it out. Never true for any other request.
     */
    isTicketUpgrade: boolean
  }
}
