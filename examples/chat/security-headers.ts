import fastifyHelmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'

export interface SecurityHeaderOptions {
  /** The origins under which the page is opened. */
  readonly origins: readonly string[]
  readonly isTls: boolean
}

/** A page may load and do only what is named here; there is no inline script or style to allow. */
export async function registerSecurityHeaders(app: FastifyInstance, { origins, isTls }: SecurityHeaderOptions): Promise<void> {
  await app.register(fastifyHelmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        // older versions of Safari do not count the WebSockets of an origin as 'self'
        connectSrc: ["'self'", ...origins.map(webSocketOrigin)],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"]
      }
    },
    // a day, since a browser would hold on to it for everything else that runs on localhost
    strictTransportSecurity: isTls && { maxAge: 86_400, includeSubDomains: false }
  })
}

function webSocketOrigin(origin: string): string {
  return origin.replace(/^http/, 'ws')
}
