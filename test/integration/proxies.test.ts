import t, { type Test } from 'tap'
import { buildApp, echoContract, echoHandlers } from '../fixtures/app.js'
import { listen } from '../fixtures/client.js'
import { Closings } from '../fixtures/closings.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { requestBytes, statusOf } from '../fixtures/raw-socket.js'
import { connectThrough, exchangeWith, knockAt, needsProxies, PROXIES, postTicketAt, type Site, startSite } from '../fixtures/site.js'
import { issueTicket } from '../fixtures/tickets.js'

const SILENCE_MS = 2000
const server = { trustProxy: '127.0.0.1' }
const limit = { max: 3, timeWindow: '1 minute' }

let users = 0

interface Asked {
  readonly from: string
  readonly headers?: Readonly<Record<string, string>>
}

if (needsProxies(t)) {
  for (const proxy of PROXIES) {
    t.test(`J5 behind ${proxy} a connection without traffic outlives the proxy's timeout by its pings, and by nothing else`, async (t) => {
      const app = await buildApp(t, { server, plugin: manyRequests })
      const closings = new Closings()
      const echo = { contract: echoContract, handlers: echoHandlers, onClose: closings.onClose }
      app.wsRoute('/kept', { ...echo, pingInterval: SILENCE_MS / 16 })
      app.wsRoute('/silent', { ...echo, pingInterval: '1 hour' })
      const site = await startSite(t, proxy, await listen(app), { silenceMs: SILENCE_MS })
      const kept = await connectThrough(t, site, '/kept', await issueTicket(app, '/kept'))
      for (let i = 0; i < 2; i++) {
        const openedAt = performance.now()
        const silent = await connectThrough(t, site, '/silent', await issueTicket(app, '/silent'))
        t.equal((await silent.closed).code, 1006, 'the proxy cuts it, with no word')
        t.ok(performance.now() - openedAt > SILENCE_MS * 0.9, 'because of its silence')
      }
      t.match(await kept.request('echo', { text: 'still here' }), { type: '$reply' }, 'the other one is still there, twice as old')
      t.equal(kept.unread, 0)
    })

    t.test(`J5 behind ${proxy} limits per address count clients and not the proxy, whatever the clients claim`, async (t) => {
      const app = await buildApp(t, { server, plugin: { ...manyRequests, upgradePerIp: limit, issuePerIp: limit, maxConnectionsPerIp: 4 } })
      app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
      const site = await startSite(t, proxy, await listen(app))
      // what is injected comes from elsewhere, each time from another address
      const upgrade = async (asked: Asked) => {
        const ticket = await issueTicket(app, '/echo', { claims: { sub: `user ${++users}` }, remoteAddress: `127.0.1.${users}` })
        const { from, headers: changes = {} } = asked
        return (await knockClosing(t, site, ticket, from, changes)).status
      }
      const issue = async ({ from, headers = {} }: Asked) => {
        const token = app.jwt.sign({ sub: `user ${++users}` })
        return (await postTicketAt(t, site, '/echo', token, { from, headers })).status
      }
      for (const [ask, good] of [
        [upgrade, 101],
        [issue, 201]
      ] as const) {
        t.same(await inTurn(ask, '127.0.0.11', forgedOf), [good, good, good, 429, 429], 'one who claims to be another each time')
        t.same(await inTurn(ask, '127.0.0.12', () => ({})), [good, good, good, 429, 429], 'another has limits of its own')
      }
    })

    t.test(`J5 behind ${proxy} an app that does not believe the proxy counts all clients as one`, async (t) => {
      const app = await buildApp(t, { plugin: { ...manyRequests, issuePerIp: limit } })
      app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
      const site = await startSite(t, proxy, await listen(app))
      const statuses: number[] = []
      for (let i = 1; i <= 4; i++) {
        const { status } = await postTicketAt(t, site, '/echo', app.jwt.sign({ sub: `user ${++users}` }), { from: `127.0.0.${i + 10}` })
        statuses.push(status)
      }
      t.same(statuses, [201, 201, 201, 429], 'as the table of docs/deployment.md says')
    })

    t.test(`J5 ${proxy} tells a client that is turned away for now when to come back, and asks no other node`, async (t) => {
      let asked = 0
      const app = await buildApp(t, { server, plugin: { ...manyRequests, maxConnections: 1 } })
      app.addHook('onRequest', async () => void asked++)
      app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
      const site = await startSite(t, proxy, await listen(app))
      const tickets = [await issueTicket(app, '/echo'), await issueTicket(app, '/echo')]
      await connectThrough(t, site, '/echo', tickets[0] ?? '')
      asked = 0
      const token = app.jwt.sign({ sub: 'ann' })
      const { status, headers } = await postTicketAt(t, site, '/echo', token)
      t.match({ status, retryAfter: headers['retry-after'] }, { status: 503, retryAfter: /^\d+$/ })
      t.equal(asked, 1)
      t.equal(statusOf(await exchangeWith(t, site, requestBytes('GET /echo HTTP/1.1', { Host: 'localhost', Connection: 'close' }))), 426)
    })
  }
}

function forgedOf(i: number): Record<string, string> {
  const address = `198.51.100.${i}`
  return { 'X-Forwarded-For': address, 'X-Real-Ip': address, Forwarded: `for=${address}` }
}

async function inTurn(ask: (asked: Asked) => Promise<number>, from: string, headersOf: (i: number) => Record<string, string>) {
  const statuses: number[] = []
  for (let i = 0; i < 5; i++) statuses.push(await ask({ from, headers: headersOf(i) }))
  return statuses
}

/** An upgrade whose socket is closed again, by the proxy or, once it is open, from here. */
async function knockClosing(t: Test, site: Site, ticket: string, from: string, changes: Record<string, string>) {
  const knock = await knockAt(t, site, '/echo', ticket, { from, changes: { ...changes, Connection: 'close, Upgrade' } })
  knock.raw.socket.destroy()
  return knock
}
