import type { FastifyRequest } from 'fastify'

/** What a JWT says (RFC 7519, section 4). */
export interface Claims {
  /** Whom the token is about: the id of the user. */
  sub?: string
  /** When it ends, in seconds since 1970. */
  exp?: number
  iat?: number
  [claim: string]: unknown
}

/**
 * The verified claims of a connection's user. An app that tells @fastify/jwt the type of `request.user`
 * (`declare module '@fastify/jwt' { interface FastifyJWT { user: … } }`) has that type here too.
 */
export type User = FastifyRequest extends { user: infer U } ? (string extends U ? Claims : U) : Claims
