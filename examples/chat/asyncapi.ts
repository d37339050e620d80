import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { registerDocs } from './docs.js'
import { noQuery } from './rest-schemas.js'

/** Shows what the WebSockets speak at `/asyncapi.json`, and as a page at `/docs/`. `home` is the origin under which the app is reached. */
export function registerAsyncapi(app: FastifyInstance, home: string): void {
  const { host, protocol } = new URL(home)
  const info = {
    title: 'Chat',
    version: '1.0.0',
    description: 'What clients and server say to each other on the WebSocket of the example app of fastify-ws-ticket.',
    servers: { chat: { host, protocol: protocol === 'https:' ? 'wss' : 'ws' } },
    openapi: `${home}/openapi.json`
  } as const
  app.get('/asyncapi.json', {
    schema: {
      summary: 'What the WebSockets speak',
      querystring: noQuery,
      response: { 200: Type.Object({}, { additionalProperties: true, description: 'AsyncAPI 3.0' }) }
    },
    handler: async () => app.wsTicket.asyncapi(info)
  })
  registerDocs(app, () => app.wsTicket.asyncapi(info))
}
