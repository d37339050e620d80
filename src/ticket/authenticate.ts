import type { FastifyRequest } from 'fastify'
import { fail } from '../errors.js'
import { tellFailure } from '../failure-watch.js'
import { logFailure } from '../log-failure.js'
import type { Settings } from '../options.js'
import type { Claims } from '../user.js'

/** Who asks for a ticket. */
export interface Caller {
  readonly user: Claims
  readonly userId: string
  /** The end of the JWT in milliseconds since 1970; null where it has none. */
  readonly authenticatedUntil: number | null
}

/**
 * Finds out who asks for a ticket. Whatever is wrong with a token, the answer is the same.
 * @throws FST_WS_TICKET_UNAUTHENTICATED; an error of the app's own `authenticate` that says 403, 429 or 5xx passes
 */
export async function authenticate(request: FastifyRequest, settings: Settings): Promise<Caller> {
  const claims = await verify(request, settings).catch((error: unknown) => {
    if (isRefusalOfItsOwn(error)) throw error
    throw unauthenticated(request, codeOf(error), error)
  })
  const problem = findProblem(claims, settings.clock.wall())
  if (!isClaims(claims) || problem !== undefined) throw unauthenticated(request, problem)
  const userId = userIdOf(claims, request, settings)
  if ((typeof userId !== 'string' && typeof userId !== 'number') || userId === '') {
    throw unauthenticated(request, "the claims name no user: put the user's id into sub, or set the option userId")
  }
  return { user: claims, userId: String(userId), authenticatedUntil: claims.exp === undefined ? null : claims.exp * 1000 }
}

/**
 * How long the caller's JWT still lasts; without end where it has none.
 * @throws FST_WS_TICKET_UNAUTHENTICATED when it has ended meanwhile
 */
export function timeLeftMs(request: FastifyRequest, { authenticatedUntil }: Caller, settings: Settings): number {
  if (authenticatedUntil === null) return Number.POSITIVE_INFINITY
  const leftMs = authenticatedUntil - settings.clock.wall()
  if (leftMs <= 0) throw unauthenticated(request, 'expired')
  return leftMs
}

/** Can the app authenticate at all? */
export function canAuthenticate(settings: Settings, hasJwtVerify: boolean): boolean {
  return settings.authenticate !== undefined || hasJwtVerify
}

async function verify(request: FastifyRequest, settings: Settings): Promise<unknown> {
  const claims: unknown = settings.authenticate ? await settings.authenticate(request) : await jwtVerify(request)
  return claims ?? Reflect.get(request, 'user')
}

/** Claims that the app's own function can not read name nobody. */
function userIdOf(claims: Claims, request: FastifyRequest, settings: Settings): unknown {
  try {
    return settings.userId(claims)
  } catch (error) {
    logFailure(request.log, error, 'userId failed')
    throw unauthenticated(request, 'userId failed', error)
  }
}

/** The app's @fastify/jwt, which the app does not start without; its types are not ours to depend on. */
function jwtVerify(request: FastifyRequest): unknown {
  return Reflect.apply(Reflect.get(request, 'jwtVerify'), request, [])
}

function findProblem(claims: unknown, wallMs: number): string | undefined {
  if (!isClaims(claims)) return 'the claims are not an object'
  const { exp } = claims
  if (exp === undefined) return undefined
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return 'exp is not a number'
  return exp * 1000 <= wallMs ? 'expired' : undefined
}

function isClaims(value: unknown): value is Claims {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isRefusalOfItsOwn(error: unknown): boolean {
  if (!(error instanceof Error) || !('statusCode' in error)) return false
  const { statusCode } = error
  return statusCode === 403 || statusCode === 429 || (typeof statusCode === 'number' && statusCode >= 500)
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}

function unauthenticated(request: FastifyRequest, reason: string | undefined, failure: unknown = reason): Error {
  tellFailure(request.raw.socket, failure)
  request.log.info({ code: 'FST_WS_TICKET_UNAUTHENTICATED', reason }, 'authentication failed')
  return fail('UNAUTHENTICATED', [], { headers: { 'www-authenticate': 'Bearer' } })
}
