import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import { wsTicket } from '../../src/index.js'
import { echoContract, echoHandlers, ORIGIN } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'

/** Starts another app with that secret; rejects where it refuses to. */
async function start(secret: string): Promise<void> {
  const app = Fastify()
  try {
    await app.register(fastifyJwt, { secret })
    await app.register(wsTicket, { allowedOrigins: [ORIGIN] })
    app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
    await app.listen({ port: 0, host: '127.0.0.1' })
  } finally {
    await app.close()
  }
}

attack('A8 an app whose HMAC secret is empty, or that anybody guesses, refuses to start', {}, async (t) => {
  await t.rejects(async () => await start(''), { message: /missing secret/ }, 'empty: @fastify/jwt refuses it')
  const secrets = ['secret', 'supersecret', 'x', 'x'.repeat(31), 'your-256-bit-secret', 'Password', 'changeme123', '12345678', 'JWT_SECRET']
  for (const secret of secrets) {
    await t.rejects(async () => await start(secret), { code: 'FST_WS_TICKET_GUESSABLE_SECRET', statusCode: 500 }, secret)
  }
  await t.resolves(start('32 bytes or more that nobody has on a list'))
})
