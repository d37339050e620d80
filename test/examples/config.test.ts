import t from 'tap'
import { choosePort, ownOrigins } from '../../examples/chat/address.js'
import { ConfigError, readConfig } from '../../examples/chat/config.js'

const SECRET = 'a secret of the tests that is long enough'

t.test('without any variable there is a default for each', async (t) => {
  const { jwtSecret, ...config } = readConfig({})
  t.strictSame(config, {
    host: '127.0.0.1',
    port: 3000,
    isSecretRandom: true,
    allowedOrigins: undefined,
    tls: undefined,
    trustProxy: [],
    redisUrl: undefined
  })
  t.ok(Buffer.byteLength(jwtSecret) >= 32)
  t.not(jwtSecret, readConfig({}).jwtSecret)
})

t.test('variables are taken over', async (t) => {
  const config = readConfig({
    HOST: '::1',
    PORT: '0',
    JWT_SECRET: SECRET,
    ALLOWED_ORIGINS: 'https://a.example, http://b.example:8080',
    TRUST_PROXY: '10.0.0.1, 10.1.0.0/16,fd00::/8',
    REDIS_URL: 'rediss://chat:pass@redis.example:6380/2'
  })
  t.strictSame(config, {
    host: '::1',
    port: 0,
    jwtSecret: SECRET,
    isSecretRandom: false,
    allowedOrigins: ['https://a.example', 'http://b.example:8080'],
    tls: undefined,
    trustProxy: ['10.0.0.1', '10.1.0.0/16', 'fd00::/8'],
    redisUrl: 'rediss://chat:pass@redis.example:6380/2'
  })
})

t.test('an empty variable counts as missing', async (t) => {
  const config = readConfig({ HOST: '', PORT: '', ALLOWED_ORIGINS: '', TLS_CERT: '', TLS_KEY: '', TRUST_PROXY: '', REDIS_URL: '' })
  t.match(config, { host: '127.0.0.1', port: 3000, allowedOrigins: undefined, tls: undefined, trustProxy: [], redisUrl: undefined })
})

t.test('a value that can not be used is refused by the name of its variable', async (t) => {
  const dir = t.testdir({ 'cert.pem': 'no certificate', 'key.pem': 'no key' })
  const cases: [variable: string, env: Record<string, string>][] = [
    ...['abc', '-1', '65536', '3000.5', '0x10', ' ', '1e3'].map((PORT): [string, Record<string, string>] => ['PORT', { PORT }]),
    ...['a b', 'http://localhost', '-x', '[::1]'].map((HOST): [string, Record<string, string>] => ['HOST', { HOST }]),
    ['JWT_SECRET', { JWT_SECRET: '' }],
    ['JWT_SECRET', { JWT_SECRET: 'x'.repeat(31) }],
    ['ALLOWED_ORIGINS', { ALLOWED_ORIGINS: '*' }],
    ['ALLOWED_ORIGINS', { ALLOWED_ORIGINS: 'https://a.example/' }],
    ['ALLOWED_ORIGINS', { ALLOWED_ORIGINS: 'https://a.example,a.example' }],
    ['ALLOWED_ORIGINS', { ALLOWED_ORIGINS: 'https://A.example' }],
    ['ALLOWED_ORIGINS', { ALLOWED_ORIGINS: 'null' }],
    ['TRUST_PROXY', { TRUST_PROXY: 'true' }],
    ['TRUST_PROXY', { TRUST_PROXY: '10.0.0.1,proxy.example' }],
    ['TRUST_PROXY', { TRUST_PROXY: '10.0.0.0/33' }],
    ...['redis.example:6379', 'http://redis.example', 'redis://', 'redis://:pass word@redis.example'].map(
      (REDIS_URL): [string, Record<string, string>] => ['REDIS_URL', { REDIS_URL }]
    ),
    ['TLS_CERT', { TLS_CERT: 'cert.pem' }],
    ['TLS_KEY', { TLS_KEY: 'key.pem' }],
    ['TLS_CERT', { TLS_CERT: '/nowhere/cert.pem', TLS_KEY: '/nowhere/key.pem' }],
    ['TLS_CERT', { TLS_CERT: `${dir}/cert.pem`, TLS_KEY: `${dir}/key.pem` }]
  ]
  for (const [variable, env] of cases) {
    t.throws(() => readConfig(env), { constructor: ConfigError, message: new RegExp(`^${variable} [^\n]+\\.$`) }, JSON.stringify(env))
  }
})

t.test('its own origins are spelt as browsers spell them', async (t) => {
  const tls = { cert: Buffer.alloc(0), key: Buffer.alloc(0) }
  const cases = [
    { host: '127.0.0.1', port: 3000, tls: undefined, origins: ['http://127.0.0.1:3000', 'http://localhost:3000'] },
    { host: 'localhost', port: 3000, tls: undefined, origins: ['http://localhost:3000'] },
    { host: '::1', port: 3000, tls: undefined, origins: ['http://[::1]:3000', 'http://localhost:3000'] },
    { host: '127.0.0.1', port: 80, tls: undefined, origins: ['http://127.0.0.1', 'http://localhost'] },
    { host: 'Chat.Example', port: 443, tls, origins: ['https://chat.example', 'https://localhost'] },
    { host: '127.0.0.1', port: 3443, tls, origins: ['https://127.0.0.1:3443', 'https://localhost:3443'] }
  ]
  for (const { origins, ...address } of cases) t.strictSame(ownOrigins(address), origins)
  const [first, ...others] = ownOrigins({ host: '0.0.0.0', port: 3000, tls: undefined })
  t.equal(first, 'http://localhost:3000', 'where it listens everywhere, the one to tell is that of this machine')
  t.ok(others.includes('http://127.0.0.1:3000'))
})

t.test('a port is chosen only where it is left open', async (t) => {
  const config = readConfig({ JWT_SECRET: SECRET })
  t.equal(await choosePort(config), config)
  const { port, ...rest } = await choosePort({ ...config, port: 0 })
  t.ok(port > 0)
  t.match(config, rest)
})
