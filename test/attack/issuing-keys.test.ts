import { createHmac, createSign } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyJWTOptions } from '@fastify/jwt'
import type { Test } from 'tap'
import { JWT_SECRET } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { postTicket } from '../fixtures/attacker.js'
import { AUDIENCE, authenticateByRoute, declareRsaRoute, ISSUER, RSA_PATH, rsa } from '../fixtures/rsa-route.js'

const plenty = { issuePerIp: { max: 1000, timeWindow: 60_000 }, issuePerUser: { max: 1000, timeWindow: 60_000 } }
const claims = { sub: 'ann', iss: ISSUER, aud: AUDIENCE, exp: Math.floor(Date.now() / 1000) + 3600 }
const plugin = { ...plenty, authenticate: authenticateByRoute }

type Header = Record<string, unknown>

function signedBy(header: Header, sign: (text: string) => string): string {
  const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${text}.${sign(text)}`
}

const withIssuersKey = (header: Header) =>
  signedBy(header, (text) => createSign('RSA-SHA256').update(text).sign(rsa.privateKey, 'base64url'))
const withSecret = (header: Header, secret: string | Buffer) =>
  signedBy(header, (text) => createHmac('sha256', secret).update(text).digest('base64url'))

/** What a client of this process connects to while it is watched, other than the app itself; and who knocks at a bait. */
async function watchOutbound(t: Test, appPort: number): Promise<{ bait: string; attempts: string[]; hits(): number }> {
  let hits = 0
  const server: Server = createServer((_request, response) => void response.end(JSON.stringify({ keys: [] })))
  server.on('connection', () => void hits++)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  const attempts: string[] = []
  const onSocket = (message: unknown) => {
    const socket: Socket = Reflect.get(Object(message), 'socket')
    socket.on('connectionAttempt', (ip: string, port: number) => port !== appPort && attempts.push(`${ip}:${port}`))
    socket.on('lookup', (_error, _address, _family, host: string) => host !== '127.0.0.1' && attempts.push(host))
  }
  const onFetch = (message: unknown) => void attempts.push(String(Reflect.get(Object(message), 'request')))
  subscribe('net.client.socket', onSocket)
  subscribe('undici:request:create', onFetch)
  t.teardown(() => unsubscribe('net.client.socket', onSocket) && unsubscribe('undici:request:create', onFetch))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { bait: `http://127.0.0.1:${port}`, attempts, hits: () => hits }
}

/** Headers that would have a verifier of good faith take the attacker's key, or overlook what it does not know. */
function hostileHeaders(bait: string, sign: (header: Header) => string): Record<string, string> {
  const ours = { alg: 'HS256', typ: 'JWT' }
  const theirs = { alg: 'RS256', typ: 'JWT' }
  const oct = { kty: 'oct', k: Buffer.from('a key of the attacker').toString('base64url') }
  return {
    'a kid that climbs': withSecret({ ...ours, kid: '../../../../../../dev/null' }, ''),
    'a kid that is a file': withSecret({ ...ours, kid: 'file:///dev/null' }, ''),
    'a kid that is a URL': withSecret({ ...ours, kid: `${bait}/kid` }, ''),
    'a kid that asks a database': withSecret({ ...ours, kid: "x' UNION SELECT 'key" }, 'key'),
    'a kid that runs a command': withSecret({ ...ours, kid: `|curl ${bait}/command` }, ''),
    'an unknown kid': withSecret({ ...ours, kid: 'unknown' }, ''),
    'the kid __proto__': withSecret({ ...ours, kid: '__proto__' }, ''),
    'the kid __proto__, signed as an object': withSecret({ ...ours, kid: '__proto__' }, '[object Object]'),
    'the kid constructor': withSecret({ ...ours, kid: 'constructor' }, String(Object)),
    'the kid an object': withSecret({ ...ours, kid: { toString: 'x' } }, ''),
    'a key of its own': withSecret({ ...ours, jwk: oct, kid: 'own' }, 'a key of the attacker'),
    'a key elsewhere': withSecret({ ...ours, jku: `${bait}/jku`, kid: 'own' }, 'a key of the attacker'),
    'a certificate elsewhere': withSecret({ ...ours, x5u: `${bait}/x5u` }, 'a key of the attacker'),
    'a certificate of its own': withSecret({ ...ours, x5c: [Buffer.from('certificate').toString('base64')] }, 'certificate'),
    'a key elsewhere, for RS256': signedBy({ ...theirs, jku: `${bait}/jku`, x5u: `${bait}/x5u` }, () => 'AAAA'),
    'an unknown crit': sign({ ...theirs, kid: 'known', crit: ['unknown'], unknown: 1 }),
    'a crit of nothing': sign({ ...theirs, kid: 'known', crit: [] }),
    'a crit that is no list': sign({ ...theirs, kid: 'known', crit: 'exp' }),
    'b64 false': sign({ ...theirs, kid: 'known', crit: ['b64'], b64: false })
  }
}

/** @param sign makes tokens of the key that is known */
async function refusesHostile(t: Test, { app, port }: Scene, path = RSA_PATH, sign = withIssuersKey): Promise<void> {
  const { bait, attempts, hits } = await watchOutbound(t, port)
  const { tickets } = app.wsTicket.stats()
  const bodies = new Set<string>()
  for (const [name, token] of Object.entries(hostileHeaders(bait, sign))) {
    const { status, body, headers } = await postTicket(t, app, path, { token })
    t.match({ status, code: body.code }, { status: 401, code: 'FST_WS_TICKET_UNAUTHENTICATED' }, name)
    t.equal(headers['www-authenticate'], 'Bearer')
    bodies.add(JSON.stringify(body))
  }
  t.equal(bodies.size, 1, 'the same body for each')
  t.equal(app.wsTicket.stats().tickets, tickets, 'nothing is issued')
  const token = sign({ alg: 'RS256', kid: 'known' })
  t.equal((await postTicket(t, app, path, { token })).status, 201, 'the key that is known is good')
  t.equal(hits(), 0, 'nobody came for the bait')
  t.same(attempts, [], 'nothing went out')
  t.equal(typeof Reflect.get({}, 'kid'), 'undefined', 'the prototype is as it was')
  await fetch(bait, { headers: { connection: 'close' } }).then((response) => response.text())
  t.equal(hits(), 1, 'a hit would have been counted')
  t.ok(attempts.length > 0, 'and what goes out be seen')
}

const oneKey = { plugin, declare: (app: Scene['app']) => declareRsaRoute(app) }

attack('A6 hostile kid, jwk, jku, x5u and crit are answered 401 where there is one key, and nothing goes out', oneKey, refusesHostile)

const keys = new Map([['known', rsa.publicKey]])

async function findKey(_request: unknown, token: unknown): Promise<string> {
  const header: unknown = Reflect.get(Object(token), 'header')
  const key = keys.get(Reflect.get(Object(header), 'kid'))
  if (key === undefined) throw new Error('there is no such key')
  return key
}

const byKid = {
  plugin,
  declare: (app: Scene['app']) => declareRsaRoute(app, { secret: { private: rsa.privateKey, public: findKey }, decode: { complete: true } })
}

attack('A6 hostile kid, jwk, jku, x5u and crit are answered 401 where the kid names the key, and nothing goes out', byKid, refusesHostile)

/** The app's own tokens are the issuer's, and its routes verify them by `request.jwtVerify()`, as they do when they are told nothing else. */
const byDefault = {
  sign: { algorithm: 'RS256', iss: ISSUER, aud: AUDIENCE, kid: 'known' },
  verify: { algorithms: ['RS256'], allowedIss: ISSUER, allowedAud: AUDIENCE, requiredClaims: ['iss', 'aud'] }
} satisfies Partial<FastifyJWTOptions>

const defaults: Record<string, FastifyJWTOptions> = {
  'there is one key': { ...byDefault, secret: { private: rsa.privateKey, public: rsa.publicKey } },
  'the kid names the key': { ...byDefault, secret: { private: rsa.privateKey, public: findKey }, decode: { complete: true } }
}

for (const [where, jwt] of Object.entries(defaults)) {
  attack(
    `A6 hostile kid, jwk, jku, x5u and crit are answered 401 by request.jwtVerify() where ${where}, and nothing goes out`,
    { plugin: plenty, jwt },
    async (t, scene) => await refusesHostile(t, scene, '/echo')
  )
}

attack(
  'A6 hostile kid, jwk, jku, x5u and crit are answered 401 by request.jwtVerify() where there is one secret, and nothing goes out',
  { plugin: plenty },
  async (t, scene) => await refusesHostile(t, scene, '/echo', (header) => withSecret({ ...header, alg: 'HS256' }, JWT_SECRET))
)
