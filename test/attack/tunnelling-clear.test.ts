import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { isGood, knock, postTicket } from '../fixtures/attacker.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { isRefusal } from '../fixtures/refusals.js'
import { issueTicket } from '../fixtures/tickets.js'
import { type HeaderChanges, untilStats } from '../fixtures/upgrade.js'

/** Who comes from this address of loopback is taken for somebody from elsewhere; no test may come from there itself. */
const OUTSIDE = '127.0.0.9'
const OUTSIDE_ADDRESS = '203.0.113.9'
const PROXY = '127.0.0.5'
const CLIENT_ADDRESS = '198.51.100.7'

const wanted = { status: 403, code: 'FST_WS_TICKET_TLS_REQUIRED' }
const seen: { scheme: string; ip: string }[] = []

function declare(app: FastifyInstance): void {
  app.server.prependListener('connection', (socket: Socket) => {
    if (socket.remoteAddress === OUTSIDE) Object.defineProperty(socket, 'remoteAddress', { value: OUTSIDE_ADDRESS })
  })
  app.addHook('onRequest', async ({ protocol, ip }) => void seen.push({ scheme: protocol, ip }))
  app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
}

const direct = { declare, plugin: manyRequests }
const proxied = { ...direct, server: { trustProxy: PROXY } }

/** All the ways to say that the request has come by TLS, and from this machine. */
const forged: HeaderChanges = {
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-Scheme': 'https',
  'X-Forwarded-Protocol': 'https',
  'X-Forwarded-Ssl': 'on',
  'X-Forwarded-Port': '443',
  'X-Forwarded-For': '127.0.0.1',
  'X-Real-Ip': '127.0.0.1',
  'X-Url-Scheme': 'https',
  'Front-End-Https': 'on',
  Forwarded: 'for=127.0.0.1;proto=https'
}

/** Asks for a ticket and for an upgrade with a good one: both are refused, and neither is sent elsewhere. */
async function isRefused(t: Test, { app, port }: Scene, from: string, headers: HeaderChanges, what: string): Promise<void> {
  const ticket = await issueTicket(app, '/echo')
  const { tickets, connections } = app.wsTicket.stats()
  const { text } = await postTicket(t, app, '/echo', { from, headers })
  isRefusal(t, text, wanted, `${what}, ticket`)
  t.notMatch(text, /^location:/im, 'not redirected')
  const lines = ['GET /echo HTTP/1.1', 'GET https://localhost/echo HTTP/1.1']
  for (const line of lines) {
    const answer = await knock(t, port, '/echo', ticket, { from, changes: headers, line })
    isRefusal(t, answer, wanted, `${what}, ${line}`)
    t.notMatch(answer.text, /^location:/im, 'not redirected')
  }
  t.match(app.wsTicket.stats(), { tickets, connections }, 'nothing is issued or opened')
  t.ok(await isGood(t, port, '/echo', ticket), 'the ticket is not burnt')
  await untilStats(app, { connections, users: connections, ips: connections })
}

attack('J4 plain HTTP from elsewhere is refused, and not redirected', direct, async (t, scene) => {
  await isRefused(t, scene, OUTSIDE, {}, 'plain')
})

for (const [what, options] of Object.entries({ 'without a proxy': direct, 'behind a proxy': proxied })) {
  attack(`J4 forged headers of a peer that is not the proxy change nothing, in an app ${what}`, options, async (t, scene) => {
    seen.length = 0
    await isRefused(t, scene, OUTSIDE, forged, 'all at once')
    for (const [name, value] of Object.entries(forged)) await isRefused(t, scene, OUTSIDE, { [name]: value }, name)
    // those of this machine are the tests' own, which ask for the tickets
    const foreign = seen.filter(({ ip }) => ip !== '127.0.0.1')
    t.ok(foreign.length > 30)
    t.ok(
      foreign.every(({ scheme, ip }) => scheme === 'http' && ip === OUTSIDE_ADDRESS),
      'it is still plain, and from elsewhere'
    )
  })
}

attack('J4 what the proxy says holds: plain is refused, TLS is let in', proxied, async (t, scene) => {
  const { app, port } = scene
  const by = (scheme: string) => ({ 'X-Forwarded-For': CLIENT_ADDRESS, 'X-Forwarded-Proto': scheme })
  await isRefused(t, scene, PROXY, by('http'), 'plain')
  await isRefused(t, scene, PROXY, by('https, http'), 'a claim of the client to which the proxy has added the truth')
  await isRefused(
    t,
    scene,
    PROXY,
    { 'X-Forwarded-For': `127.0.0.1, ${CLIENT_ADDRESS}` },
    'a forged address to which the proxy has added the true one'
  )

  seen.length = 0
  const { status, body } = await postTicket(t, app, '/echo', { from: PROXY, headers: by('https') })
  t.equal(status, 201)
  const opened = await knock(t, port, '/echo', body.ticket, { from: PROXY, changes: by('https') })
  t.equal(opened.status, 101)
  t.same(seen, Array(2).fill({ scheme: 'https', ip: CLIENT_ADDRESS }))
})
