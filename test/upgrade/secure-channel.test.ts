import { Socket } from 'node:net'
import t from 'tap'
import { buildEchoApp, ORIGIN } from '../fixtures/app.js'
import { issueTicket, requestTicket } from '../fixtures/tickets.js'

const refused = { code: 'FST_WS_TICKET_TLS_REQUIRED', statusCode: 403, message: /proxy .* trustProxy, and X-Forwarded-Proto/ }

function peer(remoteAddress: string, headers: Record<string, string> = {}) {
  return {
    headers: { host: 'localhost', origin: ORIGIN, ...headers },
    socket: Object.defineProperty(new Socket(), 'remoteAddress', { value: remoteAddress })
  }
}

t.test('J4 who comes in clear from elsewhere is refused, whatever the headers claim', async (t) => {
  const app = await buildEchoApp(t)
  await app.ready()
  const claims = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '127.0.0.1' }
  for (const remoteAddress of ['10.0.0.9', '2001:db8::1', '::ffff:10.0.0.9', '128.0.0.1']) {
    const response = await requestTicket(app, '/echo', { remoteAddress, headers: claims })
    t.match(response.json(), refused, remoteAddress)
    await t.rejects(app.injectWS('/echo', peer(remoteAddress, claims)), { message: 'Unexpected server response: 403' })
  }
  t.match(app.wsTicket.stats(), { tickets: 0, counted: { ips: 0 } })
})

t.test('J4 a loopback address needs no TLS', async (t) => {
  const app = await buildEchoApp(t)
  await app.ready()
  for (const remoteAddress of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) {
    t.equal((await requestTicket(app, '/echo', { remoteAddress })).statusCode, 201, remoteAddress)
    await t.rejects(app.injectWS('/echo', peer(remoteAddress, { 'sec-websocket-protocol': 'fastify-ws-ticket.v1' })), { message: /401/ })
  }
})

t.test('J4 with trustProxy the proxy says what the scheme is, and nobody else', async (t) => {
  const app = await buildEchoApp(t, { server: { trustProxy: '10.0.0.1' } })
  await app.ready()
  const claims = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.1' }
  t.equal((await requestTicket(app, '/echo', { remoteAddress: '10.0.0.1', headers: claims })).statusCode, 201)
  t.match((await requestTicket(app, '/echo', { remoteAddress: '10.0.0.9', headers: claims })).json(), refused)
  const plain = { 'x-forwarded-proto': 'http', 'x-forwarded-for': '203.0.113.1' }
  t.match((await requestTicket(app, '/echo', { remoteAddress: '10.0.0.1', headers: plain })).json(), refused)
  await t.rejects(app.injectWS('/echo', peer('10.0.0.9', claims)), { message: /403/ })
  const offered = { ...claims, 'sec-websocket-protocol': `fastify-ws-ticket.v1, ticket.${await issueTicket(app, '/echo')}` }
  const socket = await app.injectWS('/echo', peer('10.0.0.1', offered))
  socket.terminate()
})

t.test('J4 a proxy on this machine that says its client came in clear is believed', async (t) => {
  const app = await buildEchoApp(t, { server: { trustProxy: '127.0.0.1' } })
  await app.ready()
  for (const claims of [
    { 'x-forwarded-proto': 'http' },
    { 'x-forwarded-proto': 'http', 'x-forwarded-for': '' },
    { 'x-forwarded-proto': '' }
  ]) {
    t.match((await requestTicket(app, '/echo', { remoteAddress: '127.0.0.1', headers: claims })).json(), refused, JSON.stringify(claims))
    await t.rejects(app.injectWS('/echo', peer('127.0.0.1', claims)), { message: /403/ })
  }
  const untrusting = await buildEchoApp(t)
  const claims = { 'x-forwarded-proto': 'http' }
  t.match((await requestTicket(untrusting, '/echo', { remoteAddress: '127.0.0.1', headers: claims })).json(), refused, 'whoever says it')
})

t.test('allowInsecure lets everybody in who comes in clear', async (t) => {
  const app = await buildEchoApp(t, { plugin: { allowInsecure: true } })
  t.equal((await requestTicket(app, '/echo', { remoteAddress: '10.0.0.9' })).statusCode, 201)
})
