import fastifyJwt, { type FastifyJWTOptions } from '@fastify/jwt'
import Fastify, { type FastifyRequest } from 'fastify'
import { type WsTicketOptions, wsTicket } from '../../src/index.js'
import { echoContract, echoHandlers, ORIGIN } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'

interface Way {
  readonly jwt: Omit<FastifyJWTOptions, 'secret'>
  readonly plugin: Partial<WsTicketOptions>
}

/** How an app may have its tokens verified. */
const ways: Record<string, Way> = {
  'by request.jwtVerify()': { jwt: {}, plugin: {} },
  'by authenticate': { jwt: {}, plugin: { authenticate: verifyBy('jwtVerify') } },
  'in a namespace': { jwt: { namespace: 'chat' }, plugin: { authenticate: verifyBy('chatJwtVerify') } }
}

function verifyBy(name: string): (request: FastifyRequest) => unknown {
  return (request) => Reflect.apply(Reflect.get(request, name), request, [])
}

/** Starts another app with that secret; rejects where it refuses to. */
async function start(secret: string, { jwt, plugin }: Way): Promise<void> {
  const app = Fastify()
  try {
    await app.register(fastifyJwt, { ...jwt, secret })
    await app.register(wsTicket, { allowedOrigins: [ORIGIN], ...plugin })
    app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
    await app.listen({ port: 0, host: '127.0.0.1' })
  } finally {
    await app.close()
  }
}

attack('A8 an app whose HMAC secret is empty, or that anybody guesses, refuses to start, however it verifies', {}, async (t) => {
  const secrets = ['secret', 'supersecret', 'x', 'x'.repeat(31), 'your-256-bit-secret', 'Password', 'changeme123', '12345678', 'JWT_SECRET']
  for (const [how, way] of Object.entries(ways)) {
    await t.rejects(async () => await start('', way), { message: /missing secret/ }, 'empty: @fastify/jwt refuses it')
    for (const secret of secrets) {
      const wanted = { code: 'FST_WS_TICKET_GUESSABLE_SECRET', statusCode: 500 }
      await t.rejects(async () => await start(secret, way), wanted, `${secret}, ${how}`)
    }
    await t.resolves(start('32 bytes or more that nobody has on a list', way), how)
  }
})
