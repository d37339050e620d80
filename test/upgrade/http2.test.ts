import { once } from 'node:events'
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2'
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { wsTicket } from '../../src/index.js'
import { echoContract, echoHandlers, JWT_SECRET, ORIGIN } from '../fixtures/app.js'
import { handSigned } from '../fixtures/jwt.js'
import { watchFaults } from '../fixtures/vital-signs.js'

async function startHttp2(t: Test): Promise<ClientHttp2Session> {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(fastifyJwt, { secret: JWT_SECRET })
  // its types are those of a server of HTTP/1.1, as most apps have
  await app.register(Reflect.apply(Object, undefined, [wsTicket]), { allowedOrigins: [ORIGIN] })
  Reflect.apply(Reflect.get(app, 'wsRoute'), app, ['/echo', { contract: echoContract, handlers: echoHandlers }])
  const session = connect(await app.listen({ port: 0, host: '127.0.0.1' }))
  t.teardown(() => session.destroy())
  return session
}

interface Answer {
  readonly status: number
  readonly code: string | undefined
}

async function ask(session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  const [head] = await once(stream, 'response')
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return { status: Number(head[':status']), code: JSON.parse(text).code }
}

t.test('E10 over HTTP/2 the address of a route says what it speaks, and the process lives', async (t) => {
  const watch = watchFaults()
  const session = await startHttp2(t)
  const upgrade = { status: 426, code: 'FST_WS_TICKET_UPGRADE_REQUIRED' }
  t.same(await ask(session, { ':path': '/echo' }), upgrade)
  t.same(await ask(session, { ':path': '/echo' }), upgrade, 'and again, on the same connection')
  watch.stop()
  t.same(watch.faults, [])
})

t.test('A10 over HTTP/2 the body of a ticket request is read, length told or not', async (t) => {
  const session = await startHttp2(t)
  const request = {
    ':method': 'POST',
    ':path': '/echo/ticket',
    origin: ORIGIN,
    'content-type': 'application/json',
    authorization: `Bearer ${handSigned({ sub: 'ann', exp: Math.floor(Date.now() / 1000) + 60 })}`
  }
  const invalid = { status: 400, code: 'FST_WS_TICKET_INVALID_TICKET_REQUEST' }
  t.same(await ask(session, request, '{"refresh":1}'), invalid)
  t.same(await ask(session, { ...request, 'content-length': 13 }, '{"refresh":1}'), invalid)
  t.match(await ask(session, request, '{'), { status: 400 })
  t.match(await ask(session, request, `{"refresh":"${'x'.repeat(9000)}"}`), { status: 413 })
  t.same(await ask(session, request, '{}'), { status: 201, code: undefined })
  t.same(await ask(session, request), { status: 201, code: undefined }, 'no body is as good as an empty object')
})
