import type { FastifyInstance, FastifyRequest } from 'fastify'

/** What a token says of its time, in seconds since 1970 (RFC 7519, section 4.1); `iat` is filled in. */
interface Times {
  iat?: number
  exp?: number
  nbf?: number
}

/** What `app.jwt.sign` takes; all there is where no type is declared. */
type Payload<App> = App extends { jwt: { sign: (payload: infer P, ...more: never[]) => unknown } } ? P : string

type Claims<Request> = Request extends { user: infer U } ? U : string

type Untimed<C> = C extends object ? (string extends keyof C ? C : Omit<C, keyof Times> & Times) : never

/** What an app takes for a user whose `app` and `request` have these types. */
export type UserOf<App, Request> =
  string extends Payload<App> ? (string extends Claims<Request> ? object : Untimed<Claims<Request>>) : Untimed<Payload<App>>

/**
 * The claims of a user, of the type that the app has told @fastify/jwt (`declare module '@fastify/jwt' { interface FastifyJWT { … } }`):
 * its `payload`, or else its `user`; `iat`, `exp` and `nbf` may be left out. Any object where it has told neither.
 */
export type TestedUser = UserOf<FastifyInstance, FastifyRequest>
