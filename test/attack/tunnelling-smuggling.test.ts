import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { isGood } from '../fixtures/attacker.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { exchange, requestBytes } from '../fixtures/raw-socket.js'
import { isRefusal } from '../fixtures/refusals.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes } from '../fixtures/upgrade.js'

const secrets: string[] = []
const options = {
  plugin: manyRequests,
  declare(app: FastifyInstance) {
    app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
    app.route({
      method: ['GET', 'POST'],
      url: '/secret',
      handler: async ({ method }) => {
        secrets.push(method)
        return 'a secret'
      }
    })
  }
}

const smuggled = requestBytes('GET /secret HTTP/1.1', { Host: 'localhost' })

/** Sends each behind a ticket that is good; each is answered 400, and what is hidden in it is not parsed. */
async function tryAll(t: Test, { app, port, honest }: Scene, attempts: Record<string, (bytes: string) => string>): Promise<void> {
  const ticket = await issueTicket(app, '/echo')
  const { connections } = app.wsTicket.stats()
  for (const [what, edit] of Object.entries(attempts)) {
    const answer = await exchange(t, port, edit(handshakeBytes('/echo', ticket)))
    t.match(answer, /^HTTP\/1\.1 400 /, what)
    t.equal(answer.split('HTTP/1.1 ').length, 2, 'there is one answer')
  }
  await honest.beat()
  t.same(secrets, [], 'nothing is smuggled')
  t.equal(app.wsTicket.stats().connections, connections, 'nothing is opened')
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
}

/** Adds headers, and behind them what a proxy that reads them otherwise would take for the body or for the next request. */
function withHeaders(headers: string, body = '0\r\n\r\n') {
  return (bytes: string) => `${bytes.slice(0, -2)}${headers}\r\n\r\n${body}${smuggled}`
}

attack('J3 a length beside a transfer coding, and any that is ambiguous, is answered 400 and not parsed', options, async (t, scene) => {
  await tryAll(t, scene, {
    'a length and chunks': withHeaders('Content-Length: 5\r\nTransfer-Encoding: chunked'),
    'chunks and a length': withHeaders('Transfer-Encoding: chunked\r\nContent-Length: 5'),
    'a length of 0 and chunks': withHeaders('Content-Length: 0\r\nTransfer-Encoding: chunked'),
    'chunks twice': withHeaders('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'),
    'an unknown coding': withHeaders('Transfer-Encoding: xchunked'),
    'a coding behind chunks': withHeaders('Transfer-Encoding: chunked, identity'),
    'a coding in quotes': withHeaders('Transfer-Encoding: "chunked"'),
    'a tab before the coding': withHeaders('Transfer-Encoding:\tchunked'),
    'a blank before the colon': withHeaders('Transfer-Encoding : chunked'),
    'a folded header': withHeaders('X-Folded: a\r\n Transfer-Encoding: chunked'),
    'two lengths': withHeaders('Content-Length: 0\r\nContent-Length: 40', ''),
    'the same length twice': withHeaders('Content-Length: 5\r\nContent-Length: 5', 'hello'),
    'a list of lengths': withHeaders('Content-Length: 5, 5', 'hello'),
    'a signed length': withHeaders('Content-Length: +5', 'hello'),
    'a negative length': withHeaders('Content-Length: -1', ''),
    'a length in hex': withHeaders('Content-Length: 0x5', 'hello'),
    'a length too large': withHeaders('Content-Length: 18446744073709551616', ''),
    'an empty length': withHeaders('Content-Length:', '')
  })
})

attack('J3 lines that end otherwise than in CRLF are answered 400 and not parsed', options, async (t, scene) => {
  await tryAll(t, scene, {
    'LF only': (bytes) => bytes.replaceAll('\r\n', '\n') + smuggled,
    'one LF': (bytes) => bytes.replace('\r\nUpgrade', '\nUpgrade') + smuggled,
    'LF at the end of the headers': (bytes) => `${bytes.slice(0, -4)}\n\n${smuggled}`,
    'CR only': (bytes) => bytes.replaceAll('\r\n', '\r') + smuggled,
    'CR inside of a header': (bytes) => bytes.replace('Host: localhost', 'Host: localhost\rX: y') + smuggled,
    'NUL inside of a header': (bytes) => bytes.replace('Host: localhost', 'Host: local\0host') + smuggled,
    'no colon': (bytes) => bytes.replace('Host: localhost', 'Host: localhost\r\nnonsense') + smuggled
  })
})

attack('J3 what is pipelined behind a refused upgrade is not parsed', options, async (t, { app, port, honest }) => {
  const ticket = await issueTicket(app, '/echo')
  const refusals = [
    { changes: { 'Sec-WebSocket-Key': 'short' }, wanted: { status: 400, code: 'FST_WS_TICKET_BAD_HANDSHAKE' } },
    { changes: { Upgrade: 'websocket, h2c' }, wanted: { status: 400, code: 'FST_WS_TICKET_BAD_HANDSHAKE' } },
    { changes: { Origin: 'null' }, wanted: { status: 403, code: 'FST_WS_TICKET_ORIGIN_REFUSED' } }
  ]
  const behind = {
    'a request': smuggled,
    'ten requests': smuggled.repeat(10),
    'a request with a body': `${requestBytes('POST /secret HTTP/1.1', { Host: 'localhost', 'Content-Length': '2' })}{}`,
    'a good upgrade': handshakeBytes('/echo', ticket),
    garbage: '\0\x01\xff'.repeat(1000)
  }
  for (const { changes, wanted } of refusals) {
    for (const [what, bytes] of Object.entries(behind)) {
      isRefusal(t, await exchange(t, port, handshakeBytes('/echo', ticket, changes) + bytes), wanted, what)
    }
  }
  await honest.beat()
  t.same(secrets, [])
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
})
