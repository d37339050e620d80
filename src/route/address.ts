import type { FastifyInstance, RouteOptions } from 'fastify'
import { fail } from '../errors.js'

/** The path of the ticket route of a route. */
export function ticketPathOf(path: string): string {
  return `${path.replace(/\/$/, '')}/ticket`
}

/** Routes of one address may differ by constraints (host, version); their tickets must too. */
export function withConstraints(address: string, constraints: object | undefined): string {
  if (constraints === undefined) return address
  const parts = Object.entries(constraints).map(([name, value]) => `${name}=${String(value)}`)
  return `${address} ${parts.sort().join(' ')}`.trimEnd()
}

/** What Fastify is asked to declare, and for which path of `app.wsRoute`. */
interface Declaration {
  readonly path: string
  readonly method: 'GET' | 'POST'
  readonly url: string
}

/**
 * Declares one of the two routes of `app.wsRoute`. Fastify's own words for an address that is taken would name a method and a path that
 * nobody wrote.
 * @throws FST_WS_TICKET_ADDRESS_TAKEN
 */
export function declareAt({ path, method, url }: Declaration, declare: () => unknown): void {
  try {
    declare()
  } catch (error) {
    throw Reflect.get(Object(error), 'code') === 'FST_ERR_DUPLICATED_ROUTE' ? addressTaken(path, `${method} ${url}`) : error
  }
}

/** The addresses of the routes of `app.wsRoute`: those that come later are told whose they are. */
export class OwnAddresses {
  readonly #paths = new Map<string, string>()

  add(path: string, constraints: object | undefined): void {
    this.#paths.set(keyOf('GET', path, constraints), path)
    this.#paths.set(keyOf('POST', ticketPathOf(path), constraints), path)
  }

  /** @throws FST_WS_TICKET_ADDRESS_TAKEN for a route of the app's that is declared where one of ours is */
  check(app: FastifyInstance, { method, url, constraints }: RouteOptions): void {
    for (const verb of [method].flat()) {
      const path = this.#paths.get(keyOf(verb, url, constraints))
      if (path === undefined || !app.hasRoute({ method: verb, url, constraints: constraints ?? {} })) continue
      throw addressTaken(path, `${verb} ${url}`)
    }
  }
}

function addressTaken(path: string, taken: string): Error {
  return fail('ADDRESS_TAKEN', [path, path, ticketPathOf(path), taken])
}

/** To a router it is all the same how a parameter is called. */
function keyOf(method: string, url: string, constraints: object | undefined): string {
  return withConstraints(`${method} ${url.replace(/:\w+/g, ':')}`, constraints)
}
