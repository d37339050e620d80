import type { Clock } from '../clock.js'

/** Who asks for a ticket. Without any of them nobody does, as to be tried, too. */
export interface Credentials {
  /**
   * The claims of a user, of which the app's @fastify/jwt (`app.jwt.sign`) makes a token; issued at the time of the plugin's
   * clock. Of a @fastify/jwt with a `namespace` give a `token`, such as `app.jwt.security.sign({ sub: 'ann' })`.
   */
  user?: object
  /** A token, sent as `Authorization: Bearer <token>`; in place of `user`. */
  token?: string
  /**
   * Headers of the ticket request and the upgrade, in lower case: a cookie, or what a proxy adds. `authorization` is for the
   * ticket request alone, as a browser could not send it with the upgrade.
   */
  headers?: Readonly<Record<string, string>>
}

/** The headers of a ticket request that say who asks. */
export async function ticketHeaders(app: object, { user, token, headers }: Credentials, clock: Clock): Promise<Record<string, string>> {
  const bearer = token ?? (user && (await signToken(app, user, clock)))
  return { ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }), ...headers }
}

/** Of the caller's headers those that go with the upgrade. */
export function upgradeHeaders({ headers = {} }: Credentials): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'authorization'))
}

async function signToken(app: object, user: object, clock: Clock): Promise<string> {
  const jwt: unknown = Reflect.get(app, 'jwt')
  const sign: unknown = Reflect.get(Object(jwt), 'sign')
  if (typeof sign !== 'function') throw new TypeError('There is no app.jwt.sign to make a token of user with; give token or headers.')
  const iat = Math.floor(clock.wall() / 1000)
  return String(await Reflect.apply(sign, jwt, [{ iat, ...user }]))
}
