import { createHmac, createPublicKey, createSign, generateKeyPairSync } from 'node:crypto'
import type { Test } from 'tap'
import { JWT_SECRET } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { postTicket, withoutDate } from '../fixtures/attacker.js'
import { handSigned, unsigned } from '../fixtures/jwt.js'
import { AUDIENCE, authenticateByRoute, declareRsaRoute, ISSUER, RSA_PATH, rsa } from '../fixtures/rsa-route.js'

const plenty = { issuePerIp: { max: 1000, timeWindow: 60_000 }, issuePerUser: { max: 1000, timeWindow: 60_000 } }
const withRsa = { plugin: { ...plenty, authenticate: authenticateByRoute }, declare: (app: Scene['app']) => declareRsaRoute(app) }
/** Node itself answers 431 beyond 16 KB unless told otherwise. */
const wideHeaders = { logger: false, http: { maxHeaderSize: 512 * 1024 } }
const now = Math.floor(Date.now() / 1000)
const good = { sub: 'ann', iss: ISSUER, aud: AUDIENCE, exp: now + 3600 }

/** A JWT signed with the issuer's key, or another, by the algorithm that its header says or not. */
function rsaSigned(payload: object, header: object = { alg: 'RS256' }, digest = 'RSA-SHA256', key: string = rsa.privateKey): string {
  const signed = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${signed}.${createSign(digest).update(signed).sign(key, 'base64url')}`
}

/** Each token is answered 401, all with one body, and nothing is issued. */
async function refusesAll(t: Test, { app }: Scene, path: string, tokens: Record<string, string | undefined>): Promise<void> {
  const { tickets } = app.wsTicket.stats()
  const texts = new Set<string>()
  for (const [name, token] of Object.entries(tokens)) {
    const headers = token === undefined ? { Authorization: undefined } : { Authorization: token.includes(' ') ? token : `Bearer ${token}` }
    const { status, headers: answered, body, text } = await postTicket(t, app, path, { headers })
    t.match({ status, code: body.code }, { status: 401, code: 'FST_WS_TICKET_UNAUTHENTICATED' }, name)
    t.equal(answered['www-authenticate'], 'Bearer', `${name}: WWW-Authenticate`)
    texts.add(withoutDate(text).split('\r\n\r\n')[1] ?? '')
  }
  t.equal(texts.size, 1, 'the same body for each')
  t.equal(app.wsTicket.stats().tickets, tickets, 'nothing is issued')
}

attack(
  'A1 no, garbage and oversized JWTs get the same 401 with WWW-Authenticate: Bearer',
  { server: wideHeaders, plugin: plenty },
  async (t, scene) => {
    const oversized = { sub: 'ann', fill: 'x'.repeat(150_000) }
    await refusesAll(t, scene, '/echo', {
      none: undefined,
      'no token': 'Bearer ',
      'a space': ' ',
      'another scheme': 'Basic YW5uOmFubg==',
      'two tokens': `Bearer ${scene.app.jwt.sign({ sub: 'ann' })} x`,
      garbage: 'garbage',
      dots: '..',
      'a dot': '.',
      'three parts of nothing': 'a.b.c',
      'five parts': 'a.b.c.d.e',
      'no UTF-8': `${Buffer.from([0xff, 0xfe]).toString('base64url')}.e30.e30`,
      'header null': `${Buffer.from('null').toString('base64url')}.e30.e30`,
      'markup and signs': '<script>%00\u00ff{}',
      'the prototype': '__proto__',
      '8 KB': 'x'.repeat(8000),
      '300 KB': 'x'.repeat(300_000),
      '200 KB in the form of one': handSigned(oversized, undefined, 'a key that is not the right one, but as long'),
      'a header of 200 KB': handSigned(
        { sub: 'ann' },
        { alg: 'HS256', fill: 'x'.repeat(150_000) },
        'a key that is not the right one, but as long'
      ),
      '100,000 dots': '.'.repeat(100_000)
    })
    t.equal((await postTicket(t, scene.app, '/echo')).status, 201, 'a token that is good')
  }
)

attack('A1 a JWT larger than Node takes headers is refused as well', { plugin: plenty }, async (t, { app }) => {
  const { tickets } = app.wsTicket.stats()
  t.equal((await postTicket(t, app, '/echo', { token: 'x'.repeat(100_000) })).status, 431)
  t.equal((await postTicket(t, app, '/echo', { token: 'x'.repeat(15_000) })).status, 401)
  t.equal(app.wsTicket.stats().tickets, tickets, 'nothing is issued')
})

attack('A5 alg none in any case, and what the secret does not vouch for, is answered 401', { plugin: plenty }, async (t, scene) => {
  const user = { sub: 'ann', exp: now + 3600 }
  const none = ['none', 'None', 'NONE', 'nOnE', ' none', 'none ', '']
  const signed = scene.app.jwt.sign(user)
  await refusesAll(t, scene, '/echo', {
    ...Object.fromEntries(none.map((alg) => [`alg '${alg}' unsigned`, unsigned(user, alg)])),
    ...Object.fromEntries(none.map((alg) => [`alg '${alg}' signed`, handSigned(user, { alg, typ: 'JWT' })])),
    'no alg': handSigned(user, { typ: 'JWT' }),
    'alg null': handSigned(user, { alg: null }),
    'alg a list': handSigned(user, { alg: ['HS256'] }),
    'alg of the prototype': handSigned(user, { alg: '__proto__' }),
    'alg hs256': handSigned(user, { alg: 'hs256' }),
    'an RSA signature where a secret is': rsaSigned(user),
    'the signature cut off': signed.slice(0, signed.lastIndexOf('.') + 1),
    'the signature and its dot cut off': signed.slice(0, signed.lastIndexOf('.')),
    'the empty secret': handSigned(user, undefined, ''),
    'the secret trimmed': handSigned(user, undefined, JWT_SECRET.slice(1)),
    'HS512 by name, HS256 in fact': handSigned(user, { alg: 'HS512' })
  })
})

attack('A5 HS256 signed with the RSA public key, and algorithms that are not on the list, are answered 401', withRsa, async (t, scene) => {
  const key = createPublicKey(rsa.publicKey)
  const der = key.export({ type: 'spki', format: 'der' })
  const forged = (alg: string, digest: string, secret: string | Buffer) => {
    const signed = [{ alg, typ: 'JWT' }, good].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
    return `${signed}.${createHmac(digest, secret).update(signed).digest('base64url')}`
  }
  const ec = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' }
  })
  t.equal((await postTicket(t, scene.app, RSA_PATH, { token: rsaSigned(good) })).status, 201, 'one that is good')
  await refusesAll(t, scene, RSA_PATH, {
    'the public key': forged('HS256', 'sha256', rsa.publicKey),
    'the public key trimmed': forged('HS256', 'sha256', rsa.publicKey.trim()),
    'the public key with CRLF': forged('HS256', 'sha256', rsa.publicKey.replaceAll('\n', '\r\n')),
    'the public key in DER': forged('HS256', 'sha256', der),
    'the public key in base64': forged('HS256', 'sha256', der.toString('base64')),
    'the public key as PKCS #1': forged('HS256', 'sha256', key.export({ type: 'pkcs1', format: 'pem' })),
    'the public key as JWK': forged('HS256', 'sha256', JSON.stringify(key.export({ format: 'jwk' }))),
    HS384: forged('HS384', 'sha384', rsa.publicKey),
    HS512: forged('HS512', 'sha512', rsa.publicKey),
    'HS256 with the key of the app': forged('HS256', 'sha256', JWT_SECRET),
    'RS512 by the right key': rsaSigned(good, { alg: 'RS512' }, 'RSA-SHA512'),
    'RS384 by the right key': rsaSigned(good, { alg: 'RS384' }, 'RSA-SHA384'),
    'RS256 by name, RS512 in fact': rsaSigned(good, { alg: 'RS256' }, 'RSA-SHA512'),
    'ES256 by another key': rsaSigned(good, { alg: 'ES256' }, 'SHA256', ec.privateKey),
    'PS256 by name': rsaSigned(good, { alg: 'PS256' }),
    none: unsigned(good, 'none')
  })
})

attack('A7 expired and not yet valid JWTs, and claims of a wrong kind, are answered 401', { plugin: plenty }, async (t, scene) => {
  const user = { sub: 'ann' }
  await refusesAll(t, scene, '/echo', {
    expired: handSigned({ ...user, exp: now - 1 }),
    'expired long ago': handSigned({ ...user, exp: -1e300 }),
    'exp 0': handSigned({ ...user, exp: 0 }),
    'not yet valid': handSigned({ ...user, nbf: now + 3600 }),
    'exp a text': handSigned({ ...user, exp: String(now + 3600) }),
    'exp 1e400': handSigned('{"sub":"ann","exp":1e400}'),
    'exp -1e400': handSigned('{"sub":"ann","exp":-1e400}'),
    'exp null': handSigned('{"sub":"ann","exp":null}'),
    'exp true': handSigned('{"sub":"ann","exp":true}'),
    'exp a list': handSigned({ ...user, exp: [now + 3600] }),
    'exp twice, the last one past': handSigned(`{"sub":"ann","exp":${now + 3600},"exp":1}`),
    'nbf a text': handSigned({ ...user, nbf: 'soon' }),
    'a list': handSigned('[{"sub":"ann"}]'),
    'an empty list': handSigned('[]'),
    'a text': handSigned('"ann"'),
    'a number': handSigned('7'),
    null: handSigned('null'),
    'no JSON': handSigned('{"sub":'),
    'no user': handSigned({ name: 'ann' }),
    'the user an object': handSigned({ sub: { toString: 'ann' } }),
    'the user empty': handSigned({ sub: '' }),
    'the user in the prototype': handSigned('{"__proto__":{"sub":"ann"}}')
  })
  const { status, body } = await postTicket(t, scene.app, '/echo', { token: handSigned(user) })
  t.match({ status, expiresIn: body.expiresIn }, { status: 201, expiresIn: 30 }, 'without exp a JWT is good, as documented')
})

attack('A7 a wrong audience or issuer is answered 401', withRsa, async (t, scene) => {
  await refusesAll(t, scene, RSA_PATH, {
    'another issuer': rsaSigned({ ...good, iss: 'https://evil.example' }),
    'an issuer that begins alike': rsaSigned({ ...good, iss: `${ISSUER}.evil.example` }),
    'the issuer a list': rsaSigned({ ...good, iss: ['https://evil.example'] }),
    'no issuer': rsaSigned({ sub: 'ann', aud: AUDIENCE }),
    'another audience': rsaSigned({ ...good, aud: 'shop' }),
    'other audiences': rsaSigned({ ...good, aud: ['shop', 'mail'] }),
    'no audience': rsaSigned({ sub: 'ann', iss: ISSUER }),
    'no audience at all': rsaSigned({ ...good, aud: [] }),
    expired: rsaSigned({ ...good, exp: now - 1 })
  })
  t.equal((await postTicket(t, scene.app, RSA_PATH, { token: rsaSigned(good) })).status, 201)
})
