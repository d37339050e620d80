import type { Test } from 'tap'
import { bearer, ORIGIN } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { exchangeHttp, type HttpAnswer, isGood, postTicket, ticketFor } from '../fixtures/attacker.js'
import { handshakeHeaders, requestBytes } from '../fixtures/raw-socket.js'

const plenty = { issuePerIp: { max: 1000, timeWindow: 60_000 }, issuePerUser: { max: 1000, timeWindow: 60_000 }, maxTicketsPerUser: 1000 }
const FORM = 'application/x-www-form-urlencoded'

/** Runs what must issue nothing, and asserts that it did not. */
async function issuesNothing(t: Test, { app }: Scene, run: () => Promise<void>): Promise<void> {
  const { tickets } = app.wsTicket.stats()
  await run()
  t.equal(app.wsTicket.stats().tickets, tickets, 'nothing is issued')
}

function refused(t: Test, answer: HttpAnswer, status: number, code: string, what: string): void {
  t.match(answer, { status, body: { statusCode: status, code: `FST_WS_TICKET_${code}` } }, what)
  t.notMatch(answer.text, /ticket\./, 'no ticket is told')
}

attack('A2 no method but POST issues a ticket, whatever else it claims to be', { plugin: plenty }, async (t, scene) => {
  const { app, port } = scene
  await issuesNothing(t, scene, async () => {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'DELETE']) {
      for (const post of [{ body: '{}' }, { headers: { 'Content-Type': undefined } }]) {
        const { status, text } = await postTicket(t, app, '/echo', { method, ...post })
        t.equal(status, 404, method)
        t.notMatch(text, /"ticket"|ticket\./, 'no ticket is told')
      }
    }
    const overridden = { method: 'PUT', body: '{}', headers: { 'X-HTTP-Method-Override': 'POST', 'X-Method': 'POST' } }
    t.equal((await postTicket(t, app, '/echo', overridden)).status, 404, 'a method that is overridden')
    const preflight = { 'Access-Control-Request-Method': 'POST', 'Content-Type': undefined, Authorization: undefined }
    t.equal((await postTicket(t, app, '/echo', { method: 'OPTIONS', headers: preflight })).status, 404, 'a preflight')
    const upgrade = requestBytes('GET /echo/ticket HTTP/1.1', { ...handshakeHeaders(), Authorization: bearer(app).authorization })
    t.match(await exchangeHttp(t, port, upgrade), { status: 404, body: { code: 'FST_WS_TICKET_NO_WEBSOCKET_ROUTE' } }, 'an upgrade')
  })
})

attack('A3 a cross-site form or text/plain POST is answered 415', { plugin: { ...plenty, allowMissingOrigin: true } }, async (t, scene) => {
  const bodies = {
    [FORM]: 'refresh=x',
    'text/plain': '{}',
    'text/plain;charset=application/json': '{}',
    'text/plain; application/json': '{}',
    'multipart/form-data; boundary=x': '--x\r\nContent-Disposition: form-data; name="refresh"\r\n\r\nx\r\n--x--\r\n',
    'application/json-patch+json': '{}',
    'application/jsonp': '{}',
    'application/xml, application/json': '{}',
    '': '{}'
  }
  await issuesNothing(t, scene, async () => {
    for (const [type, body] of Object.entries(bodies)) {
      for (const Origin of [ORIGIN, undefined]) {
        const answer = await postTicket(t, scene.app, '/echo', { body, headers: { 'Content-Type': type, Origin } })
        refused(t, answer, 415, 'UNSUPPORTED_MEDIA_TYPE', `'${type}' from ${Origin}`)
      }
    }
    const untyped = await postTicket(t, scene.app, '/echo', { body: '{}', headers: { 'Content-Type': undefined } })
    refused(t, untyped, 415, 'UNSUPPORTED_MEDIA_TYPE', 'no type')
    const foreign = { 'Content-Type': FORM, Origin: 'https://evil.example' }
    refused(t, await postTicket(t, scene.app, '/echo', { body: 'a=b', headers: foreign }), 403, 'ORIGIN_REFUSED', 'its page tells on it')
  })
  t.equal((await postTicket(t, scene.app, '/echo', { body: '{}' })).status, 201, 'the same user with JSON')
})

attack('A4 a fetch from an origin that is not listed is answered 403 without CORS headers', { plugin: plenty }, async (t, scene) => {
  const { app, port } = scene
  const origins = ['https://evil.example', 'null', `${ORIGIN}.evil.example`, 'http://app.example.com', `${ORIGIN}:8443`, '*', '']
  const noCors = (names: Iterable<string>) =>
    t.notOk(
      [...names].some((name) => name.startsWith('access-control-')),
      'no CORS headers'
    )
  await issuesNothing(t, scene, async () => {
    for (const origin of origins) {
      const answer = await postTicket(t, app, '/echo', { body: '{}', headers: { Origin: origin } })
      refused(t, answer, 403, 'ORIGIN_REFUSED', `'${origin}'`)
      noCors(Object.keys(answer.headers))
      const preflight = { Origin: origin, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization' }
      noCors(Object.keys((await postTicket(t, app, '/echo', { method: 'OPTIONS', headers: preflight })).headers))
    }
    const headers = { ...bearer(app), origin: 'https://evil.example', 'content-type': 'application/json', connection: 'close' }
    const response = await fetch(`http://127.0.0.1:${port}/echo/ticket`, { method: 'POST', headers, body: '{}' })
    t.equal(response.status, 403, 'a real fetch')
    noCors(response.headers.keys())
    t.notMatch(await response.text(), /ticket\./)
  })
})

attack('A11 the answer is not stored, and a ticket never outlives its JWT', { timed: true, plugin: plenty }, async (t, scene) => {
  const { app, port, advance } = scene
  // the clock of a timed scene begins at this time
  const exp = Date.UTC(2026, 0, 1) / 1000 + 12.5
  const headers = { 'x-claims': JSON.stringify({ sub: 'ann', exp }) }
  const answers = [await postTicket(t, app, '/echo', { headers }), await postTicket(t, app, '/echo', { headers })]
  for (const { status, headers, body } of answers) {
    t.match({ status, cache: headers['cache-control'], expiresIn: body.expiresIn }, { status: 201, cache: 'no-store', expiresIn: 12 })
  }
  const [early = '', late = ''] = answers.map(({ body }) => body.ticket)
  await advance(12_000)
  t.ok(await isGood(t, port, '/echo', early), 'good for as long as its JWT')
  await advance(500)
  t.notOk(await isGood(t, port, '/echo', late), 'and not a moment longer')
  t.equal((await postTicket(t, app, '/echo', { headers })).status, 401, 'nor is there another')

  const longLived = { 'x-claims': JSON.stringify({ sub: 'ann', exp: exp + 3600 }) }
  const ticket = await ticketFor(t, app, '/echo', { headers: longLived })
  await advance(30_000)
  t.notOk(await isGood(t, port, '/echo', ticket), 'however long the JWT, a ticket is short-lived')
})
