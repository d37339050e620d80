import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { isPromiseLike } from '../promise-like.js'

/** What stands in documentation, templates and lists of leaked secrets. */
const WELL_KNOWN = `
  123 admin api app auth bar baz change-it change-me change-this change_me changeit changeme changethis default dev development
  development-secret dev-secret devsecret example fastify fastify-jwt foo foobar hello helloworld hmac hunter2 insecure jwt
  jwt-key jwt-secret jwt_secret jwtkey jwtsecret key letmein local localhost my-secret my-secret-key my_secret my_secret_key
  mykey mypassword mysecret mysecretkey node null pass passw0rd password placeholder please-change-me private private-key
  private_key privatekey prod production qwerty qwertyuiop replace-me replaceme root s3cr3t sample secret secret-key
  secret-token secret_key secret_token secretkey secrettoken shh shhh shhhh shhhhh short some-secret some_secret somesecret
  staging super super-secret super-secret-key super_secret superkey supersecret supersecretkey test test-secret testing testkey
  testsecret test_secret thisisasecret thisismysecret this-is-a-secret todo token top-secret topsecret true undefined user
  very-secret verysecret very_secret weak your-256-bit-secret your-384-bit-secret your-512-bit-secret your-jwt-secret
  your-secret your-secret-key your_jwt_secret your_secret your_secret_key yourkey yoursecret yoursecretkey
`
  .trim()
  .split(/\s+/)
const ENDINGS = ['', '!', '.', '0', '1', '12', '123', '1234', '12345', '-key', '_key', '-here', '2024', '2025', '2026']
const RUNS = ['0123456789', '1234567890', 'abcdefghijklmnopqrstuvwxyz', 'qwertyuiopasdfghjklzxcvbnm', '0123456789abcdef']
const REPEATED = 'abcdefghijklmnopqrstuvwxyz0123456789*'
const SAFE_BYTES = 32

const HASHES: ReadonlyMap<unknown, string> = new Map([
  ['HS256', 'sha256'],
  ['HS384', 'sha384'],
  ['HS512', 'sha512']
])

/** The hash of the last sample whose secret is none of the guesses; who starts one app after another, as tests do, waits for them once. */
let lastSafe = ''

/**
 * Does the app sign its tokens with a secret that would be guessed at once? Its secret can not be read, so a token is signed
 * and the guesses are tried on that. An app that only verifies, or looks its secrets up, is not asked. Each namespace of
 * @fastify/jwt has a secret of its own.
 */
export function hasGuessableSecret(app: FastifyInstance): boolean {
  const jwt: unknown = Reflect.get(app, 'jwt')
  const tokens = [jwt, ...Object.values(Object(jwt))].map(signSample).filter((token) => token !== undefined)
  return tokens.some(isGuessable)
}

function isGuessable(sample: string): boolean {
  const sampleHash = hash('sha256', sample)
  if (sampleHash === lastSafe) return false
  if (isSignedWithGuessableSecret(sample)) return true
  lastSafe = sampleHash
  return false
}

/** The same each time that the secret is the same. @fastify/jwt's types are not ours to depend on. */
function signSample(jwt: unknown): string | undefined {
  const sign: unknown = Reflect.get(Object(jwt), 'sign')
  if (typeof sign !== 'function') return undefined
  try {
    const token: unknown = Reflect.apply(sign, jwt, [{ iat: 0 }])
    // secrets that are looked up come later, or not at all
    if (isPromiseLike(token)) token.then(undefined, () => {})
    return typeof token === 'string' ? token : undefined
  } catch {
    return undefined
  }
}

/**
 * Is this JWT signed with an HMAC secret that would be guessed at once: a well-known word, a run of the keyboard, one
 * character over and over? Such a secret makes everybody everybody (RFC 7518, section 3.2; RFC 8725, section 3.5).
 */
export function isSignedWithGuessableSecret(jwt: string): boolean {
  const [header = '', payload = '', signature = ''] = jwt.split('.')
  const hash = HASHES.get(algorithmOf(header))
  if (hash === undefined) return false
  const wanted = Buffer.from(signature, 'base64url')
  for (const secret of guesses()) {
    const found = createHmac(hash, secret).update(`${header}.${payload}`).digest()
    if (found.length === wanted.length && timingSafeEqual(found, wanted)) return true
  }
  return false
}

function algorithmOf(header: string): unknown {
  const parsed: unknown = JSON.parse(Buffer.from(header, 'base64url').toString())
  return Reflect.get(Object(parsed), 'alg')
}

function* guesses(): Generator<string> {
  for (const word of WELL_KNOWN) yield* variantsOf(word)
  for (const run of [...REPEATED, ...RUNS]) yield* lengthsOf(run)
}

function* variantsOf(word: string): Generator<string> {
  for (const ending of ENDINGS) yield `${word}${ending}`
  yield word.toUpperCase()
  yield `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`
  yield `${word}${word}`
}

/** A text over and over, at each length that is too short. */
function* lengthsOf(text: string): Generator<string> {
  const long = text.repeat(SAFE_BYTES)
  for (let length = 1; length < SAFE_BYTES; length++) yield long.slice(0, length)
}
