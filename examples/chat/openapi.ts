import fastifySwagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { noQuery } from './rest-schemas.js'

/** Collects the routes that are declared after it, and shows them at `/openapi.json`. `home` is the origin under which the app is reached. */
export async function registerOpenapi(app: FastifyInstance, home: string): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Chat',
        version: '1.0.0',
        description: 'The example app of fastify-ws-ticket. Its log-in is for demonstration only: it asks for no password.'
      },
      externalDocs: { url: `${home}/asyncapi.json`, description: 'What the WebSocket speaks, in AsyncAPI' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } }
    }
  })
  app.get('/openapi.json', {
    schema: {
      summary: 'This document',
      querystring: noQuery,
      response: { 200: Type.Object({}, { additionalProperties: true, description: 'OpenAPI 3.1' }) }
    },
    handler: async () => app.swagger()
  })
}
