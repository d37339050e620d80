import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP, isIPv6 } from 'node:net'
import { createSecureContext } from 'node:tls'

/** What the environment says about how to run. */
export interface Config {
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  readonly jwtSecret: string
  /** Was the secret made up, because the environment has none? */
  readonly isSecretRandom: boolean
  /** Undefined: the origins of the app's own page. */
  readonly allowedOrigins: readonly string[] | undefined
  /** Undefined: plain HTTP. */
  readonly tls: TlsFiles | undefined
  /** The proxies whose X-Forwarded-* headers are believed. */
  readonly trustProxy: readonly string[]
  /** The Redis that several of these processes share; undefined: this one is alone. */
  readonly redisUrl: string | undefined
}

export interface TlsFiles {
  readonly cert: Buffer
  readonly key: Buffer
}

/** A variable that has no usable value; the message is for whoever starts the app. */
export class ConfigError extends Error {}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the configuration from environment variables. An empty variable counts as missing, but for `JWT_SECRET`.
 * @throws ConfigError naming the variable, its value and what is allowed
 */
export function readConfig(env: Environment): Config {
  return {
    host: readHost(env.HOST || '127.0.0.1'),
    port: readPort(env.PORT || '3000'),
    ...readSecret(env.JWT_SECRET),
    allowedOrigins: env.ALLOWED_ORIGINS ? listOf(env.ALLOWED_ORIGINS).map(readOrigin) : undefined,
    tls: readTls(env.TLS_CERT, env.TLS_KEY),
    trustProxy: listOf(env.TRUST_PROXY).map(readProxy),
    redisUrl: env.REDIS_URL ? readRedisUrl(env.REDIS_URL) : undefined
  }
}

function readHost(text: string): string {
  const isHost = isIP(text) !== 0 || /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text)
  if (!isHost) throw new ConfigError(`HOST is '${text}'; allowed: a host name or an IP address.`)
  return text
}

function readPort(text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > 65_535) throw new ConfigError(`PORT is '${text}'; allowed: a whole number from 0 to 65535.`)
  return port
}

const MIN_SECRET_BYTES = 32

/** HS256 needs a key at least as long as its hash (RFC 7518, section 3.2). */
function readSecret(text: string | undefined): Pick<Config, 'jwtSecret' | 'isSecretRandom'> {
  if (text === undefined) return { jwtSecret: randomBytes(MIN_SECRET_BYTES).toString('base64'), isSecretRandom: true }
  const bytes = Buffer.byteLength(text)
  if (bytes < MIN_SECRET_BYTES) throw new ConfigError(`JWT_SECRET has ${bytes} bytes; allowed: at least ${MIN_SECRET_BYTES}.`)
  return { jwtSecret: text, isSecretRandom: false }
}

function readOrigin(text: string): string {
  const isOrigin = /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text
  if (isOrigin) return text
  throw new ConfigError(
    `ALLOWED_ORIGINS has '${text}'; allowed: origins as browsers send them, such as https://chat.example.com, without a slash at the end.`
  )
}

function readTls(certPath: string | undefined, keyPath: string | undefined): TlsFiles | undefined {
  if (!certPath && !keyPath) return undefined
  if (!certPath || !keyPath) {
    const [given, missing] = certPath ? ['TLS_CERT', 'TLS_KEY'] : ['TLS_KEY', 'TLS_CERT']
    throw new ConfigError(`${given} is set and ${missing} is not; allowed: both, or none for plain HTTP.`)
  }
  const files = { cert: readFileOf('TLS_CERT', certPath), key: readFileOf('TLS_KEY', keyPath) }
  try {
    createSecureContext(files)
  } catch (error) {
    throw new ConfigError(`TLS_CERT and TLS_KEY are not a certificate and its private key in PEM: ${messageOf(error)}.`)
  }
  return files
}

function readFileOf(variable: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new ConfigError(`${variable} is '${path}', which can not be read: ${messageOf(error)}.`)
  }
}

function readProxy(text: string): string {
  const [address = '', bits] = text.split('/')
  const maxBits = isIPv6(address) ? 128 : 32
  const isRange = bits === undefined || (/^\d+$/.test(bits) && Number(bits) <= maxBits)
  if (isIP(address) !== 0 && isRange) return text
  throw new ConfigError(`TRUST_PROXY has '${text}'; allowed: IP addresses and ranges such as 10.0.0.0/8.`)
}

/** The message shows nothing of what was given, which may hold a password. */
function readRedisUrl(text: string): string {
  if (/^rediss?:\/\/[^\s]+$/.test(text) && URL.canParse(text)) return text
  throw new ConfigError('REDIS_URL is no address of a Redis; allowed: redis://host:port, or rediss://user:password@host:port with TLS.')
}

function listOf(text = ''): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
