import fastifyJwt from '@fastify/jwt'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Unauthenticated } from './errors.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sends the request; known after `requireUser`. */
    userName: string
  }
}

/** Lets the app sign and verify tokens. The ticket route of fastify-ws-ticket verifies them with the same settings. */
export async function registerAuth(app: FastifyInstance, secret: string): Promise<void> {
  await app.register(fastifyJwt, {
    secret,
    sign: { algorithm: 'HS256' },
    verify: { algorithms: ['HS256'], requiredClaims: ['sub', 'exp'] }
  })
  app.decorateRequest('userName', '')
}

/** An `onRequest` hook for routes that need to know who asks. Whatever is wrong with a token, the answer is the same. */
export async function requireUser(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  try {
    const { sub } = await request.jwtVerify<{ sub: string }>()
    request.userName = sub
  } catch {
    reply.header('www-authenticate', 'Bearer')
    throw new Unauthenticated()
  }
}
