import type { Clock } from '../clock.js'
import { misuse } from './misuse.js'
import type { TestedUser } from './tested-user.js'

/** Who asks for a ticket. Without any of them nobody does, as to be tried, too. */
export interface Credentials {
  /**
   * The claims of a user, of which the @fastify/jwt of the route (`app.jwt.sign`, or that of its scope) makes a token; issued at the
   * time of the plugin's clock. Of a @fastify/jwt with a `namespace` give a `token`, such as `app.jwt.security.sign({ sub: 'ann' })`.
   */
  user?: TestedUser
  /** A token, sent as `Authorization: Bearer <token>`; in place of `user`. */
  token?: string
  /**
   * Headers of the ticket request and the upgrade, in lower case: a cookie, or what a proxy adds. `authorization` is for the
   * ticket request alone, as a browser could not send it with the upgrade.
   */
  headers?: Readonly<Record<string, string>>
}

/** The headers of a ticket request that say who asks. */
export async function ticketHeaders(scope: object, { user, token, headers }: Credentials, clock: Clock): Promise<Record<string, string>> {
  const bearer = token ?? (user && (await signToken(scope, user, clock)))
  return { ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }), ...headers }
}

/** Of the caller's headers those that go with the upgrade. */
export function upgradeHeaders({ headers = {} }: Credentials): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'authorization'))
}

async function signToken(scope: object, user: object, clock: Clock): Promise<string> {
  const jwt: unknown = Reflect.get(scope, 'jwt')
  const sign: unknown = Reflect.get(Object(jwt), 'sign')
  if (typeof sign !== 'function')
    throw misuse('There is no app.jwt.sign at this route to make a token of user with; give token or headers.')
  const iat = Math.floor(clock.wall() / 1000)
  return String(await Reflect.apply(sign, jwt, [{ iat, ...user }]))
}
