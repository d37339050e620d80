import type { FastifyInstance } from 'fastify'
import Type, { type Static } from 'typebox'
import { requireUser } from './auth.js'
import { bearerOnly, errorResponse, noQuery } from './rest-schemas.js'

const DEFAULT_SECONDS = 15 * 60
const MAX_SECONDS = 24 * 60 * 60

const loginBody = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 32,
      pattern: '^[\\p{L}\\p{N}][\\p{L}\\p{M}\\p{N} ._\\-]*(?<! )$',
      description: 'Letters and digits first, then dots, underscores, hyphens and spaces, too'
    }),
    expiresIn: Type.Optional(
      Type.Integer({ minimum: 1, maximum: MAX_SECONDS, default: DEFAULT_SECONDS, description: 'Seconds for which the token is good' })
    )
  },
  { additionalProperties: false }
)

/** Log-in and log-out. */
export function declareSessions(app: FastifyInstance): void {
  app.post<{ Body: Static<typeof loginBody> }>('/login', {
    schema: {
      tags: ['session'],
      summary: 'Logs in (demo only)',
      description: 'Demo only: believes whatever name it is told, without a password. Replace it by a log-in of your own.',
      body: loginBody,
      response: { 200: Type.Object({ token: Type.String({ description: 'A JWT' }) }), 400: errorResponse, 429: errorResponse }
    },
    config: { rateLimit: { max: 60, timeWindow: '1 minute' } },
    // DEMO ONLY: here a real app checks a password, or leaves that to an identity provider
    handler: async ({ body: { name, expiresIn = DEFAULT_SECONDS } }) => ({ token: app.jwt.sign({ sub: name }, { expiresIn }) })
  })

  app.post('/logout', {
    schema: {
      tags: ['session'],
      summary: 'Closes all WebSockets of the user',
      description: 'Closes them with 4403 and voids unused tickets. The token stays good until it expires, as JWTs do: forget it.',
      security: bearerOnly,
      querystring: noQuery,
      response: { 204: Type.Null({ description: 'Logged out' }), 401: errorResponse }
    },
    onRequest: requireUser,
    async handler(request, reply) {
      await app.wsTicket.disconnect({ user: request.userName })
      return reply.code(204).send()
    }
  })
}
