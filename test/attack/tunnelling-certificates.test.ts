import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { echoContract, echoHandlers, ORIGIN } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { TestAuthority } from '../fixtures/certificate.js'
import { emptyFolder } from '../fixtures/packed.js'
import { run, STRIP_TYPES } from '../fixtures/processes.js'
import { protocolsOf } from '../fixtures/refusals.js'
import { connectThrough, needsProxies, PROXIES, type ProxyName, type Site, startSite } from '../fixtures/site.js'
import { issueTicket } from '../fixtures/tickets.js'

const FETCH = [fileURLToPath(new URL('../fixtures/fetch-each.mjs', import.meta.url))]
const CLIENT = [STRIP_TYPES, fileURLToPath(new URL('../fixtures/client-each.ts', import.meta.url))]

/** What came through a proxy. */
const asked: string[] = []

const options = {
  server: { trustProxy: '127.0.0.1' },
  declare(app: FastifyInstance) {
    app.addHook('onRequest', async ({ url, protocol }) => void (protocol === 'https' && asked.push(url)))
    app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
  }
}

/** Why a client goes no further than the handshake of TLS; undefined where it does. */
type Refused = string | number | undefined

async function refusedByWs({ port }: Site, ca: string, ticket: string): Promise<Refused> {
  const socket = new WebSocket(`wss://localhost:${port}/echo`, protocolsOf(ticket), { origin: ORIGIN, ca })
  return await codeOf(once(socket, 'open')).finally(() => socket.terminate())
}

async function refusedByHttps({ port }: Site, ca: string, token: string): Promise<Refused> {
  const headers = { origin: ORIGIN, 'content-type': 'application/json', authorization: `Bearer ${token}` }
  const sent = request({ host: 'localhost', port, path: '/echo/ticket', method: 'POST', headers, ca, agent: false })
  sent.end('{}')
  return await codeOf(once(sent, 'response')).finally(() => sent.destroy())
}

function codeOf(opened: Promise<unknown>): Promise<Refused> {
  return opened.then(
    () => undefined,
    (error: unknown) => String(Object(error).code)
  )
}

/** What a program says of each, in a process that trusts this authority besides those of the system. */
async function tryEach(t: Test, program: string[], sites: readonly Site[], ca: string, secrets: NodeJS.ProcessEnv): Promise<unknown> {
  const file = join(await emptyFolder(t), 'ca.pem')
  await writeFile(file, ca)
  const urls = sites.map(({ port }) => `https://localhost:${port}/echo`)
  const env = { PATH: process.env.PATH, NODE_EXTRA_CA_CERTS: file, ORIGIN, ...secrets }
  const { stdout, stderr } = await run('/', process.execPath, [...program, ...urls], env)
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout)
}

const CODES = { wrongAuthority: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', wrongHost: 'ERR_TLS_CERT_ALTNAME_INVALID', expired: 'CERT_HAS_EXPIRED' }

/** A site for each thing that may be wrong with its certificate; `trusted` is the authority that clients know. */
async function startWrong(t: Test, proxy: ProxyName, port: number, trusted: TestAuthority): Promise<Record<keyof typeof CODES, Site>> {
  const start = async (certificate: Parameters<TestAuthority['issue']>[0], authority = trusted) =>
    await startSite(t, proxy, port, { authority, certificate: await authority.issue(certificate) })
  return {
    wrongAuthority: await start({}, await TestAuthority.create(t)),
    wrongHost: await start({ names: ['DNS:other.example', 'DNS:localhost.example'] }),
    expired: await start({ isExpired: true })
  }
}

async function isRefusedByAll(t: Test, { app, port }: Scene, proxy: ProxyName): Promise<void> {
  const trusted = await TestAuthority.create(t)
  const ca = trusted.cert
  const wrong = await startWrong(t, proxy, port, trusted)
  const right = await startSite(t, proxy, port, { authority: trusted })
  const ticket = await issueTicket(app, '/echo')
  const token = app.jwt.sign({ sub: 'ann' })
  const secrets = { TOKEN: token, TICKET: await issueTicket(app, '/echo') }
  asked.length = 0
  for (const [what, code] of Object.entries(CODES)) {
    const site: Site = Reflect.get(wrong, what)
    t.equal(await refusedByWs(site, ca, ticket), code, `ws: ${what}`)
    t.equal(await refusedByHttps(site, ca, token), code, `https: ${what}`)
  }
  const byFetch = await tryEach(t, FETCH, Object.values(wrong), ca, secrets)
  const byClient = await tryEach(t, CLIENT, Object.values(wrong), ca, secrets)
  t.same(byFetch, Object.values(CODES), 'fetch')
  t.same(
    byClient,
    Object.values(CODES).map((code) => [code, '1006']),
    'our client, where it asks for a ticket and where it has one'
  )
  t.same(asked, [], 'nothing was sent: no ticket, no JWT')

  t.equal(await refusedByHttps(right, ca, token), undefined, 'where nothing is wrong, https goes on')
  t.same(await tryEach(t, FETCH, [right], ca, secrets), [426], 'so does fetch')
  t.same(await tryEach(t, CLIENT, [right], ca, secrets), [['open', 'open']], 'and our client')
  await connectThrough(t, right, '/echo', ticket)
}

if (needsProxies(t)) {
  for (const proxy of PROXIES) {
    attack(
      `J6 clients refuse ${proxy} with the certificate of a wrong authority, of a wrong host, or one that has expired`,
      options,
      (t, scene) => isRefusedByAll(t, scene, proxy)
    )
  }
}
