import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { attack } from '../fixtures/attack.js'
import { CountedEcho, manyMessages, manyRequests } from '../fixtures/counted-echo.js'
import { frame, messageFrame, Opcode, openRaw } from '../fixtures/frames.js'
import { requestBytes } from '../fixtures/raw-socket.js'

/** The beginning of a TLS ClientHello: a record of the type handshake. */
const CLIENT_HELLO = Buffer.from('160301002f0100002b0303'.padEnd(100, '5a'), 'hex')

/** What programs say first on a TCP connection that somebody has tunnelled for them. */
const protocols: Record<string, Buffer> = {
  SSH: Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'),
  HTTP: Buffer.from(requestBytes('GET / HTTP/1.1', { Host: 'localhost' })),
  'HTTP CONNECT': Buffer.from('CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\n'),
  'the preface of HTTP/2': Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  TLS: CLIENT_HELLO,
  SOCKS5: Buffer.from([5, 1, 0]),
  Redis: Buffer.from('*1\r\n$4\r\nPING\r\n'),
  SMTP: Buffer.from('EHLO localhost\r\n')
}

/** A server that a tunnel could lead to, and how often somebody came. */
async function listenAsTarget(t: Test): Promise<{ port: number; visits: () => number }> {
  let visits = 0
  const server = createServer((socket) => {
    visits++
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address: AddressInfo | string | null = server.address()
  if (address === null || typeof address === 'string') throw new Error('the target does not listen')
  return { port: address.port, visits: () => visits }
}

const target = await listenAsTarget(t)
const route = new CountedEcho()
const options = { plugin: manyRequests, declare: (app: FastifyInstance) => route.declare(app, manyMessages) }
const strict = { plugin: manyRequests, declare: (app: FastifyInstance) => route.declare(app) }

attack('J8 another protocol in text frames is refused by the schema, frame by frame', options, async (t, { app }) => {
  const client = await openRaw(t, app)
  for (const [name, bytes] of Object.entries(protocols)) {
    client.write(frame({ opcode: Opcode.text, payload: bytes }))
    t.match(await client.next(), { type: '$error', payload: { code: 'FST_WS_TICKET_INVALID_JSON', statusCode: 400 } }, name)
  }
  t.same(route.handled, [])
  t.match(await client.request('echo', { text: 'still here' }), { type: '$reply' })
  t.same(route.handled.splice(0), ['still here'])
})

attack('J8 another protocol in binary frames closes the connection with 1003', options, async (t, { app }) => {
  for (const [name, payload] of Object.entries(protocols)) {
    const client = await openRaw(t, app)
    client.write(frame({ opcode: Opcode.binary, payload }))
    t.match(await client.closed, { code: 1003 }, name)
    t.same(
      client.unread.filter(({ opcode }) => opcode !== Opcode.close),
      [],
      'nothing comes back'
    )
  }
  t.same(route.handled, [])
})

attack('J8 another protocol on the bare connection behind the 101 closes it with 1002', options, async (t, { app }) => {
  for (const name of ['SSH', 'HTTP', 'the preface of HTTP/2', 'SMTP']) {
    const client = await openRaw(t, app)
    client.write(protocols[name] ?? Buffer.alloc(0))
    t.match(await client.closed, { code: 1002 }, name)
    t.same(
      client.unread.filter(({ opcode }) => opcode !== Opcode.close),
      [],
      'nothing comes back'
    )
  }
  t.same(route.handled, [])
})

attack('J8 another protocol in an envelope is refused: there is no message that passes anything through', options, async (t, { app }) => {
  const client = await openRaw(t, app)
  const data = CLIENT_HELLO.toString('base64')
  const { port } = target
  const unknown = { code: 'FST_WS_TICKET_UNKNOWN_TYPE' }
  const envelope = { code: 'FST_WS_TICKET_INVALID_ENVELOPE' }
  const payload = { code: 'FST_WS_TICKET_INVALID_PAYLOAD' }
  for (const [message, wanted] of [
    [{ type: 'connect', id: 1, payload: { host: '127.0.0.1', port } }, unknown],
    [{ type: 'tcp.open', id: 1, payload: { url: `tcp://127.0.0.1:${port}` } }, unknown],
    [{ type: '$connect', id: 1, payload: { host: '127.0.0.1', port } }, unknown],
    [{ type: 'echo', id: 1, payload: { text: 'x' }, data }, envelope],
    [{ type: 'echo', id: 1, payload: { text: 'x' }, host: '127.0.0.1', port }, envelope],
    [{ type: 'echo', id: 1, payload: { text: 'x', host: '127.0.0.1', port } }, payload],
    [{ type: 'echo', id: 1, payload: { text: 'x', data } }, payload],
    [{ type: 'echo', id: 1, payload: { data } }, payload],
    [{ type: 'echo', id: 1, payload: data }, payload],
    [{ type: 'echo', id: 1, payload: [...CLIENT_HELLO] }, payload]
  ] as const) {
    client.write(messageFrame(message))
    t.match(await client.next(), { type: '$error', payload: wanted }, JSON.stringify(message).slice(0, 80))
  }
  t.same(route.handled, [])
  t.equal(target.visits(), 0, 'the server connects nowhere')
})

attack('J8 a client that goes on with another protocol is closed with 4400', strict, async (t, { app }) => {
  const client = await openRaw(t, app)
  for (let i = 0; i < 20; i++) client.write(frame({ opcode: Opcode.text, payload: protocols.SSH ?? '' }))
  t.match(await client.closed, { code: 4400 })
  t.same(route.handled, [])
})
