import { createHmac } from 'node:crypto'
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { type WsTicketOptions, wsTicket } from '../../src/index.js'
import { hasGuessableSecret, isSignedWithGuessableSecret } from '../../src/ticket/guessable-secret.js'
import { echoContract, echoHandlers, JWT_SECRET, ORIGIN } from '../fixtures/app.js'

type JwtOptions = Parameters<typeof fastifyJwt>[1]

async function start(t: Test, jwtOptions: JwtOptions, options: Partial<WsTicketOptions> = {}): Promise<unknown> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyJwt, jwtOptions)
  await app.register(wsTicket, { allowedOrigins: [ORIGIN], ...options })
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
  return await app.ready()
}

function signed(secret: string, algorithm: string, hash: string): string {
  const parts = [{ alg: algorithm, typ: 'JWT' }, { sub: 'ann' }].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  return `${parts.join('.')}.${createHmac(hash, secret).update(parts.join('.')).digest('base64url')}`
}

t.test('A8 secrets that nobody guesses, keys, and what can not be asked, start', async (t) => {
  const publicOnly = { public: JWT_SECRET } as const
  const neverAsked = async () => await Promise.reject(new Error('looked up without a request'))
  const own = { authenticate: () => ({ sub: 'ann' }) }
  const accepted: [string, JwtOptions, Partial<WsTicketOptions>?][] = [
    ['32 bytes', { secret: JWT_SECRET }],
    ['another algorithm', { secret: JWT_SECRET, sign: { algorithm: 'HS512' } }],
    ['verify only', { secret: publicOnly }],
    ['looked up', { secret: neverAsked }],
    ["the app's own authentication", { secret: JWT_SECRET }, own],
    ['a namespace', { secret: JWT_SECRET, namespace: 'chat' }, own],
    ['a namespace that only verifies', { secret: publicOnly, namespace: 'chat' }, own]
  ]
  for (const [what, jwtOptions, options] of accepted) await t.resolves(start(t, jwtOptions, options), what)
  t.notOk(isSignedWithGuessableSecret('e30.e30.'), 'no algorithm')
  t.notOk(hasGuessableSecret(Fastify()), 'another plugin that verifies')
})

t.test('A8 the secret is asked however the app authenticates, and that of each namespace', async (t) => {
  const own = { authenticate: () => ({ sub: 'ann' }) }
  const refused: [string, JwtOptions, Partial<WsTicketOptions>?][] = [
    ['by jwtVerify', { secret: 'secret' }],
    ['by authenticate', { secret: 'secret' }, own],
    ['in a namespace', { secret: 'secret', namespace: 'chat' }, own],
    ['in a namespace named as a method', { secret: 'secret', namespace: 'sign' }, own],
    ['in a namespace with jwtVerify', { secret: 'secret', namespace: 'chat', jwtVerify: 'jwtVerify' }]
  ]
  for (const [how, jwtOptions, options] of refused) {
    await t.rejects(start(t, jwtOptions, options), { code: 'FST_WS_TICKET_GUESSABLE_SECRET', statusCode: 500 }, how)
  }
})

t.test('A8 every HMAC algorithm is tried, and no other', async (t) => {
  for (const [algorithm, hash] of [
    ['HS256', 'sha256'],
    ['HS384', 'sha384'],
    ['HS512', 'sha512']
  ] as const) {
    t.ok(isSignedWithGuessableSecret(signed('secret', algorithm, hash)), algorithm)
    t.notOk(isSignedWithGuessableSecret(signed(JWT_SECRET, algorithm, hash)), `${algorithm} with a good secret`)
  }
  t.notOk(isSignedWithGuessableSecret(signed('secret', 'RS256', 'sha256')))
})
