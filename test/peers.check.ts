/**
 * The ranges of package.json, tried at both ends: the package is packed and installed in empty folders beside the lowest and beside
 * the newest version of all that it stands on, and a user's program does there what users do. Run by `npm run test:peers`.
 */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { compile, emptyFolder, installAsNamed, type Manifest, packPackage, pin, readManifest } from './fixtures/packed.js'
import { run } from './fixtures/processes.js'
import { RedisServer } from './fixtures/redis-server.js'

t.setTimeout(240_000)

/** The lowest versions that an app may have registered itself; the README names them. */
const OWN_PLUGINS = { '@fastify/websocket': '11.0.0', '@fastify/rate-limit': '10.0.0', '@fastify/helmet': '12.0.0' }

const SEEN = {
  reply: { id: 1 },
  badPayload: 'FST_WS_TICKET_INVALID_PAYLOAD',
  overLimit: 'FST_WS_TICKET_RATE_LIMITED',
  event: { text: 'hello' },
  usedTicket: 401,
  badToken: 'FST_WS_TICKET_UNAUTHENTICATED',
  notAuthorized: 'FST_WS_TICKET_FORBIDDEN',
  disconnected: 1,
  code: 4403
}

const TYPED = `
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import wsTicket, { defineContract } from 'fastify-ws-ticket'
import Type from 'typebox'

declare module '@fastify/jwt' {
  interface FastifyJWT { user: { sub: string; name: string } }
}
const app = Fastify()
await app.register(fastifyJwt, { secret: 'x' })
await app.register(wsTicket, { allowedOrigins: ['https://app.example.com'] })
const text = Type.Object({ text: Type.String() })
app.wsRoute('/rooms/:room', {
  contract: defineContract({ messages: { say: { payload: text, reply: text } } }),
  handlers: { say: ({ text }, { params, user }) => ({ text: \`\${params.room} \${user.name.toUpperCase()} \${text.trim()}\` }) }
})
`

const manifest = await readManifest()
const tarball = await packPackage(t)
const folder = await emptyFolder(t)
const redis = await RedisServer.start(t)

/** `^9.0.0 || ^10.0.0` begins with 9.0.0. */
const lowest = (range: string) => /\d+\.\d+\.\d+/.exec(range)?.[0] ?? range
const plugins = Object.fromEntries(Object.keys(OWN_PLUGINS).map((name) => [name, manifest.dependencies[name] ?? '']))
const newest = { ...manifest.peerDependencies, ...plugins }
const named = (versions: Readonly<Record<string, string>>) => Object.entries(versions).map(([name, version]) => `${name}@${version}`)
const each = (versions: Readonly<Record<string, string>>, change: (range: string) => string) =>
  Object.fromEntries(Object.entries(versions).map(([name, range]) => [name, change(range)]))

/** A folder of its own with the package and these versions beside it; `overrides` is what it gets of its own dependencies. */
async function prepare(name: string, versions: Manifest['dependencies'], overrides: Manifest['dependencies'] = {}): Promise<string> {
  const app = join(folder, name)
  await mkdir(app)
  const own = { name: `app-${name}`, private: true, type: 'module', overrides: { [manifest.name]: overrides } }
  await writeFile(join(app, 'package.json'), JSON.stringify(own))
  await copyFile(fileURLToPath(new URL('fixtures/round-trip.mjs', import.meta.url)), join(app, 'round-trip.mjs'))
  await writeFile(join(app, 'typed.ts'), TYPED)
  await installAsNamed(app, [tarball, ...named(versions), await pin('ws'), await pin('@types/node')])
  return app
}

async function version(app: string, name: string): Promise<string> {
  return JSON.parse(await readFile(join(app, 'node_modules', name, 'package.json'), 'utf8')).version
}

const TRIPS = [
  { REDIS_CLIENT: '', OWN_PLUGINS: '' },
  { REDIS_CLIENT: '', OWN_PLUGINS: 'yes' },
  { REDIS_CLIENT: 'ioredis', OWN_PLUGINS: '' },
  { REDIS_CLIENT: 'iovalkey', OWN_PLUGINS: 'yes' }
]
let trips = 0

async function roundTrips(t: Test, app: string, node = process.execPath): Promise<void> {
  for (const { REDIS_CLIENT, OWN_PLUGINS } of TRIPS) {
    trips += 1
    const env = { REDIS_CLIENT, REDIS_URL: `redis://127.0.0.1:${redis.port}`, REDIS_PREFIX: `trip-${trips}`, OWN_PLUGINS }
    const { stdout, stderr } = await run(app, node, ['round-trip.mjs'], { ...process.env, ...env })
    const what = `${REDIS_CLIENT || 'memory'}${OWN_PLUGINS && ", with the app's own plugins"}`
    t.same({ stdout, stderr }, { stdout: JSON.stringify(SEEN), stderr: '' }, what)
  }
}

async function compiles(t: Test, app: string): Promise<void> {
  const options = '--noEmit --strict --skipLibCheck --target ES2023 --module NodeNext --types node typed.ts'
  t.equal((await compile(app, options.split(' '))).stdout, '', 'it compiles')
}

t.test('with the lowest versions of its ranges it works and compiles', async (t) => {
  const peers = each(manifest.peerDependencies, lowest)
  const dependencies = each(manifest.dependencies, lowest)
  const app = await prepare('lowest', { ...peers, ...OWN_PLUGINS }, dependencies)
  for (const [name, wanted] of Object.entries({ ...peers, ...OWN_PLUGINS })) t.equal(await version(app, name), wanted, name)
  for (const [name, wanted] of Object.entries(dependencies)) {
    const nested = join(app, 'node_modules', manifest.name)
    t.equal(await version(nested, name).catch(() => version(app, name)), wanted, `${name} of its own`)
  }
  await Promise.all([roundTrips(t, app), compiles(t, app)])
})

t.test('on the lowest Node of its range it works, and can be required', async (t) => {
  const wanted = lowest(`${manifest.engines.node}.0`)
  const place = join(folder, 'node')
  await installAsNamed(place, [`lowest-node@npm:node-${process.platform}-${process.arch}@${wanted}`])
  const node = join(place, 'node_modules/lowest-node/bin/node')
  t.equal((await run(place, node, ['--version'])).stdout.trim(), `v${wanted}`)
  const app = await prepare('lowest-node', newest)
  await roundTrips(t, app, node)
  const required = await run(app, node, ['--print', `typeof require('${manifest.name}').wsTicket`])
  t.equal(required.stdout.trim(), 'function', required.stderr)
})

t.test('with the newest versions of its ranges it works and compiles', async (t) => {
  const app = await prepare('newest', newest)
  for (const name of Object.keys(newest)) t.comment(`${name} ${await version(app, name)}`)
  await Promise.all([roundTrips(t, app), compiles(t, app)])
})

t.test('the README names the lowest versions', async (t) => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  for (const [name, lowestOwn] of Object.entries(OWN_PLUGINS)) t.ok(readme.includes(`${name} ${lowestOwn}`), `${name} ${lowestOwn}`)
  for (const name of ['ioredis', 'iovalkey', '@fastify/jwt']) {
    const [, minor] = /(\d+\.\d+)\.\d+/.exec(manifest.peerDependencies[name] ?? '') ?? []
    t.ok(readme.includes(`${name} ${minor}`), `${name} ${minor}`)
  }
})
