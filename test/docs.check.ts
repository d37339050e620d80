/**
 * What docs/ shows, done by a user in an empty folder: its programs are compiled and run, its clients in other languages talk to the
 * server of the quick start. Run by `npm run test:package`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { compile, emptyFolder, installAsNamed, packPackage, pin } from './fixtures/packed.js'
import { findCommand, findPython } from './fixtures/parts.js'
import { freePort } from './fixtures/ports.js'
import { outsideTap, run } from './fixtures/processes.js'
import { type Block, blockAfter, blockWith, fileOf, filesOf, textOf, textsOf, untriedBlocks } from './fixtures/readme.js'
import { RedisServer } from './fixtures/redis-server.js'
import { playTranscript } from './fixtures/transcript.js'

t.setTimeout(300_000)

const CLIENTS = 'docs/clients.md'
const RECIPES = 'docs/recipes.md'
const METRICS = 'docs/metrics.md'
const START = 'docs/getting-started.md'
const PROTOCOL = 'docs/protocol.md'
const DEPLOYMENT = 'docs/deployment.md'
const JWT_SECRET = 'a secret of the tests that is long enough'
const OWN = [
  'fastify',
  'typebox',
  '@fastify/jwt',
  '@fastify/websocket',
  '@opentelemetry/api',
  '@opentelemetry/sdk-metrics',
  '@opentelemetry/sdk-trace-base',
  'prom-client',
  'fastify-plugin',
  'ioredis',
  'tsx',
  'ws',
  '@types/node',
  '@types/ws'
]
const OTHERS = [
  '@fastify/autoload@6.5.0',
  '@fastify/cookie@11.0.2',
  '@fastify/type-provider-typebox@6.3.0',
  'fast-jwt@6.3.6',
  'fastify-cli@8.0.2',
  'get-jwks@11.0.3',
  'wscat@6.1.0'
]

const folder = await emptyFolder(t)
await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }))
await installAsNamed(folder, [await packPackage(t), ...(await Promise.all(OWN.map(pin))), ...OTHERS])

const recipes = await writeFiles('recipes', filesOf(RECIPES))
const start = await writeFiles('start', filesOf(START))
const chat = await writeFiles('chat', new Map([['server.js', blockAfter('`server.js`:')], ...filesOf(CLIENTS)]))

async function writeFiles(name: string, files: ReadonlyMap<string, string>): Promise<string> {
  for (const [path, text] of files) {
    const file = join(folder, name, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
  }
  return join(folder, name)
}

const BEFORE_FRAGMENT = `import Fastify from 'fastify'
import wsTicket from 'fastify-ws-ticket'
const app = Fastify()
`

/** Blocks of TypeScript that are no file of a page: programs, and pieces of one that has an app. */
function otherPrograms(): Map<string, string> {
  // the one of the README that declares the user is compiled by test/package.check.ts, in a project of its own
  const isProgram = ({ text }: Block) => !text.includes('declare module')
  const programs = textsOf((block) => block.language === 'ts' && block.page !== 'docs/reference.md' && !fileOf(block) && isProgram(block))
  return new Map(
    programs.map((text, index) => [
      `block-${index}.ts`,
      text.includes('app') && !text.includes('const app') ? BEFORE_FRAGMENT + text : text
    ])
  )
}

const COMPILER_OPTIONS = '--strict --exactOptionalPropertyTypes --skipLibCheck --target ES2023 --module NodeNext --types node'.split(' ')

/** Compiles the TypeScript of a folder, where its JavaScript is to stand beside it. */
async function compiles(t: Test, name: string, paths: Iterable<string>): Promise<void> {
  const files = [...paths].filter((path) => path.endsWith('.ts')).map((path) => join(name, path))
  t.ok(files.length > 2)
  t.equal((await compile(folder, [...COMPILER_OPTIONS, ...files])).stdout, '', name)
}

t.test('recipes compile, and do what they say', async (t) => {
  const others = otherPrograms()
  await writeFiles('recipes', others)
  await compiles(t, 'recipes', [...filesOf(RECIPES).keys(), ...others.keys()])
  const redis = await RedisServer.start(t)
  await copyFile(fileURLToPath(new URL('fixtures/recipes.mjs', import.meta.url)), join(recipes, 'recipes.mjs'))
  const env = { ...process.env, JWT_SECRET, REDIS_URL: `redis://127.0.0.1:${redis.port}` }
  const { stdout, stderr } = await run(recipes, process.execPath, ['recipes.mjs'], env)
  t.same(
    { stderr, ...(stdout && JSON.parse(stdout)) },
    {
      stderr: '',
      cookie: { isTime: true, without: 401 },
      jwks: { welcome: '$welcome', otherAudience: 401 },
      tenants: { stranger: 403, refused: 403, placed: { delivered: 1 }, userId: 'blue/7' },
      rooms: { stranger: 'NO_RIGHT', reader: 'NO_RIGHT', heard: 'hello', removed: 'NO_RIGHT', eveHeard: false },
      queue: { url: '/reports/july.pdf' },
      typed: { text: 'ann: hello', badBody: 400, pushed: { delivered: 1 }, hasPlugin: true },
      movedWebsocket: { old: 'raw', new: { text: 'hello' } },
      movedSocketIo: { said: 'hello' }
    }
  )
})

t.test('the test of a recipe passes', async (t) => {
  const [, , ...testing] = blockWith('sh', '--test', RECIPES).trim().split(' ')
  const { status, stdout } = await run(recipes, join(folder, 'node_modules/.bin/tsx'), testing, { ...process.env, JWT_SECRET })
  t.equal(status, 0, { stdout })
  t.match(stdout, /pass 1\b/)
})

const OF_CONTRACT = `
import { connect } from 'fastify-ws-ticket/testing'
const ann = { sub: 'ann', name: 'Ann', teams: ['red'] }
const connection = await connect(app, '/teams/red/chat', { user: ann })
const { id } = await connection.request('chat.send', { text: 'hello' })
const { payload } = await connection.next('chat.message')
const refused = await connect(app, '/teams/blue/chat', { user: ann }).catch(({ statusCode }) => statusCode)
console.log('\\n' + JSON.stringify({ refused, heard: payload, isIt: payload.id === id }))
await app.close()
`

const OF_REDIS = `
import { defineContract } from 'fastify-ws-ticket'
import { connect } from 'fastify-ws-ticket/testing'
import Type from 'typebox'
const say = { payload: Type.Object({}) }
app.wsRoute('/echo', { contract: defineContract({ messages: { say } }), handlers: { say() {} } })
const connection = await connect(app, '/echo', { user: { sub: 'ann' } })
const reply = await connection.request('say', {})
console.log('\\n' + JSON.stringify({ reply, isInRedis: (await redis.keys('fastify-ws-ticket:*')).length > 0 }))
await app.close()
`

const BEFORE_REDIS = `import fastifyJwt from '@fastify/jwt'
${BEFORE_FRAGMENT}await app.register(fastifyJwt, { secret: '${JWT_SECRET}' })
`

t.test('the apps that the README and the page on deployment show do what they say', async (t) => {
  const redis = await RedisServer.start(t)
  const env = { ...process.env, JWT_SECRET, REDIS_URL: `redis://127.0.0.1:${redis.port}` }
  const inRedis = { reply: null, isInRedis: true }
  const apps = {
    contract: [blockWith('ts', 'interface FastifyJWT') + OF_CONTRACT, { refused: 403, heard: { from: 'Ann', text: 'hello' }, isIt: true }],
    redis: [BEFORE_REDIS + blockWith('ts', 'new Redis(') + OF_REDIS, inRedis],
    deployment: [blockWith('ts', 'new Redis(', DEPLOYMENT) + OF_REDIS, inRedis]
  } as const
  for (const [name, [program, seen]] of Object.entries(apps)) {
    await writeFile(join(chat, `${name}.ts`), program)
    const { stdout, stderr } = await run(chat, join(folder, 'node_modules/.bin/tsx'), [`${name}.ts`], env)
    const said = stdout.split('\n').filter((line) => line.startsWith('{') && !line.includes('"level"'))
    t.match({ stderr, said: said.map((line) => JSON.parse(line)) }, { stderr: '', said: [seen] }, name)
  }
})

/** An app with what the page on metrics shows, a message, and a ticket that is used twice. */
function measured(): string {
  return `
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import wsTicket, { defineContract } from 'fastify-ws-ticket'
import { connect } from 'fastify-ws-ticket/testing'
import Type from 'typebox'

class Reader extends MetricReader {
  async onForceFlush() {}
  async onShutdown() {}
}
const reader = new Reader()
const spans = new InMemorySpanExporter()
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }))
const log = []
const app = Fastify({ logger: { level: 'warn', stream: { write: (line) => log.push(JSON.parse(line).msg) } } })
await app.register(fastifyJwt, { secret: '${JWT_SECRET}' })
${blockWith('js', 'collectOpenTelemetry', METRICS)}
${blockWith('js', 'collectPrometheus', METRICS)}
${blockWith('js', 'node:diagnostics_channel', METRICS)}
app.wsRoute('/echo', { contract: defineContract({ messages: { say: { payload: Type.Object({}) } } }), handlers: { say() {} } })
const connection = await connect(app, '/echo', { user: { sub: 'ann' } })
await connection.request('say', {})
const origin = 'https://app.example.com'
const authorization = 'Bearer ' + app.jwt.sign({ sub: 'ann' })
const issued = await app.inject({ method: 'POST', url: '/echo/ticket', headers: { origin, authorization, 'content-type': 'application/json' } })
const headers = { host: 'localhost', origin, 'sec-websocket-protocol': issued.json().protocols.join(', ') }
await app.injectWS('/echo', { headers }).then((socket) => socket.terminate())
await app.injectWS('/echo', { headers }).catch(() => {})
const page = await app.inject('/metrics')
const { resourceMetrics } = await reader.collect()
console.log(JSON.stringify({
  type: page.headers['content-type'],
  handled: page.body.split('\\n').find((line) => line.startsWith('ws_ticket_messages_total')),
  names: resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics.map(({ descriptor }) => descriptor.name)),
  spans: spans.getFinishedSpans().length,
  isToldOnDuty: log.includes('tell the one on duty')
}))
await app.close()
`
}

t.test('what the page on metrics shows is collected, traced and told', async (t) => {
  await writeFile(join(chat, 'measured.js'), measured())
  const { stdout, stderr } = await run(chat, process.execPath, ['measured.js'])
  t.equal(stderr, '')
  const { names, ...seen } = JSON.parse(stdout)
  t.same(seen, {
    type: 'text/plain; version=0.0.4; charset=utf-8',
    handled: 'ws_ticket_messages_total{route="/echo",type="say",outcome="ok"} 1',
    spans: 1,
    isToldOnDuty: true
  })
  t.ok(names.includes('ws_ticket.connections'), names.join())
})

t.test('@fastify/autoload and fastify-cli load it like any plugin, and the prefix of a folder holds', async (t) => {
  const env = { ...process.env, JWT_SECRET }
  const [, ...print] = blockWith('sh', 'print-routes', RECIPES).trim().split(' ')
  const printed = await run(recipes, join(folder, 'node_modules/.bin', print[0] ?? ''), print.slice(1), env)
  t.match(printed.stdout, blockWith('text', '/rooms/:room/chat', RECIPES))
  const cli = join(folder, 'node_modules/.bin/fastify')
  const lines = startProgram(t, cli, ['start', '-a', '127.0.0.1', '-l', 'info', '-p', String(await freePort()), 'app.js'], recipes, {
    JWT_SECRET
  })
  const address = await lineWith(lines, /Server listening at (http:\/\/127\.0\.0\.1:\d+)/)
  const headers = { 'content-type': 'application/json', origin: 'https://app.example.com' }
  const response = await fetch(`${address}/rooms/lobby/chat/ticket`, { method: 'POST', headers, body: '{}' })
  t.match(await response.json(), { code: 'FST_WS_TICKET_UNAUTHENTICATED' })
})

t.test('what is built in the first steps compiles, passes its test, and starts', async (t) => {
  await compiles(t, 'start', filesOf(START).keys())
  const tsx = join(folder, 'node_modules/.bin/tsx')
  const [, , ...testing] = blockWith('sh', '--test', START).trim().split(' ')
  const { status, stdout } = await run(start, tsx, testing)
  t.equal(status, 0, { stdout })
  t.match(stdout, /pass 1\b/)
  const [, , ...starting] = blockWith('sh', 'src/main.ts', START).trim().split(' ')
  const lines = startProgram(t, tsx, starting, start, { JWT_SECRET, PORT: '0' })
  t.match(await lineWith(lines, /(listening on http.*)/), /127\.0\.0\.1:\d+/)
})

const server = startProgram(t, process.execPath, ['server.js'], chat, { PORT: '0' })
const API = await lineWith(server, /listening on (.*)/)

t.test('the client in Python gets a ticket, sends, is refused, refreshes and closes', async (t) => {
  const python = findPython('websockets')
  if (python === undefined) throw new Error('python3-websockets is missing; run: npm run setup')
  const [, ...args] = blockWith('sh', 'python3 chat.py', CLIENTS).trim().split(' ')
  const program = await run(chat, python, args, { ...process.env, PORT: new URL(API).port })
  t.same(program, { status: 0, stdout: blockWith('text', 'chat.message room:lobby', CLIENTS), stderr: '' })
})

const FLOOD = `
import asyncio
import os
from ws_ticket import Client, Refused, post

API = f"http://127.0.0.1:{os.environ['PORT']}"
ORIGIN = "https://app.example.com"

async def login():
    return (await post(f"{API}/login", {"name": "ann"}))["token"]

async def main():
    client = Client(f"{API}/chat", login, lambda kind, payload, topic: None, origin=ORIGIN)
    running = asyncio.create_task(client.run())
    sends = [client.send("chat.send", {"room": "lobby", "text": "hello"}) for _ in range(60)]
    answers = await asyncio.gather(*sends, return_exceptions=True)
    refused = [answer.code for answer in answers if isinstance(answer, Refused)]
    replied = [answer for answer in answers if isinstance(answer, dict)]
    print(len(refused) + len(replied), len(replied) >= 40, "FST_WS_TICKET_RATE_LIMITED" in refused)
    await client.close()
    await running

asyncio.run(main())
`

t.test('the client in Python answers every one of 60 messages at once, over the limit or not', async (t) => {
  const python = findPython('websockets') ?? ''
  await writeFile(join(chat, 'flood.py'), FLOOD)
  const program = await run(chat, python, ['flood.py'], { ...process.env, PORT: new URL(API).port })
  t.same(program, { status: 0, stdout: '60 True True\n', stderr: '' })
})

t.test('a connection goes as the page on the protocol shows it', async (t) => {
  const transcript = blockWith('text', '$welcome', PROTOCOL)
  t.match(transcript.match(/^[<>]/gm)?.join(''), /^<(>.*<)+$/)
  await playTranscript(t, API, transcript)
})

const REFRESHING = `
import WebSocket from 'ws'
const API = 'http://127.0.0.1:' + process.env.PORT
const origin = 'https://app.example.com'
const json = { 'content-type': 'application/json' }
// a page's own address, and the Origin that its browser tells
const { fetch: request } = globalThis
globalThis.fetch = (path, { headers, ...init }) => request(API + path, { ...init, headers: { ...headers, origin } })
const { token } = await (await fetch('/login', { method: 'POST', headers: json, body: '{"name":"ann"}' })).json()
const headers = { ...json, authorization: 'Bearer ' + token }
const { protocols } = await (await fetch('/chat/ticket', { method: 'POST', headers, body: '{}' })).json()
const socket = new WebSocket(API.replace('http', 'ws') + '/chat', protocols, { origin })
socket.on('message', (data) => {
  const { type, payload } = JSON.parse(data)
  console.log(type, Object.keys(payload).join())
  if (type === '$welcome') refresh(socket, payload.connection, token)
  else socket.close()
})
`

t.test('a session is extended as the page on the protocol shows it', async (t) => {
  await writeFile(join(chat, 'refreshing.js'), REFRESHING + blockWith('js', 'function refresh', PROTOCOL))
  const env = { ...process.env, PORT: new URL(API).port }
  const shown = { status: 0, stdout: '$welcome connection,expiresAt\n$reply expiresAt\n', stderr: '' }
  t.same(await run(chat, process.execPath, ['refreshing.js'], env), shown)
})

/** The commands of the page in one shell: login and ticket, and then one with the ticket. */
function withTicket(command: string): string {
  const [login = '', ticket = ''] = blockWith('sh', 'TOKEN=', CLIENTS).trim().split('\n')
  return `${login}\nTICKET=$(${ticket} | sed 's/.*"ticket":"\\([^"]*\\)".*/\\1/')\n${command}`
}

const shellEnv = { ...process.env, API, WS: API.replace('http', 'ws'), PATH: `${join(folder, 'node_modules/.bin')}:${process.env.PATH}` }

t.test('curl gets a ticket, and shows the upgrade and the welcome', async (t) => {
  const asked = await run(chat, 'sh', ['-c', blockWith('sh', 'TOKEN=', CLIENTS)], shellEnv)
  const shown = JSON.parse(blockWith('json', 'expiresIn', CLIENTS))
  t.same(Object.keys(JSON.parse(asked.stdout)), Object.keys(shown))
  const upgraded = await run(chat, 'sh', ['-c', withTicket(blockWith('sh', 'curl -si', CLIENTS))], shellEnv)
  t.match(upgraded.stdout.replaceAll('\r', ''), blockWith('http', '101', CLIENTS))
  t.match(upgraded.stdout, /"type":"\$welcome"/)
})

t.test('a ticket is answered as the page on the protocol shows it', async (t) => {
  const command = blockWith('sh', 'TOKEN=', CLIENTS).replace('curl -s "$API/chat', 'curl -si "$API/chat')
  const { stdout } = await run(chat, 'sh', ['-c', command], shellEnv)
  const [status = '', ...lines] = blockWith('http', '201', PROTOCOL).trim().split('\n')
  const answer = stdout.replaceAll('\r', '').split('\n')
  t.equal(answer[0], status)
  const headers = lines.slice(0, lines.indexOf(''))
  t.ok(headers.length > 1)
  for (const header of headers)
    t.ok(
      answer.some((line) => line.toLowerCase() === header.toLowerCase()),
      header
    )
  t.same(Object.keys(JSON.parse(answer.at(-1) ?? '')), Object.keys(JSON.parse(lines.at(-1) ?? '')))
})

t.test('wscat sends a message and prints the reply', async (t) => {
  const command = withTicket(blockWith('sh', 'wscat', CLIENTS).replace('npx ', ''))
  // it leaves when its input ends, which in a terminal it does not
  await printsReply(t, startProgram(t, 'sh', ['-c', command], chat, shellEnv))
})

t.test('websocat sends what is typed and prints the reply', async (t) => {
  const shown = blockWith('sh', 'websocat', CLIENTS)
  if (findCommand('websocat') === undefined) return t.plan(0, 'websocat is not installed')
  const [, message = ''] = /--execute '(.*)'/.exec(blockWith('sh', 'wscat', CLIENTS)) ?? []
  const command = withTicket(`{ echo '${message}'; cat; } | ${shown}`)
  await printsReply(t, startProgram(t, 'sh', ['-c', command], chat, shellEnv))
})

async function printsReply(t: Test, lines: Interface): Promise<void> {
  const reply = JSON.parse(await lineWith(lines, /(.*\$reply.*)/))
  t.type(reply.payload.id, 'number')
  t.same({ ...reply, payload: { id: 1 } }, JSON.parse(blockWith('json', '$reply', CLIENTS)))
}

t.test('the reference is that of the package', async (t) => {
  const script = fileURLToPath(new URL('../docs/reference.mjs', import.meta.url))
  const { stdout } = await run(folder, process.execPath, [script, join(folder, 'node_modules/fastify-ws-ticket'), '--print'])
  t.ok(stdout === textOf('docs/reference.md'), 'else: npm run docs')
  t.match(await readFile(join(folder, 'node_modules/fastify-ws-ticket/docs/reference.md'), 'utf8'), /^# Reference/)
})

t.test('what npm is told to install has been installed here, and no block of docs was left out', async (t) => {
  const commands = textsOf(({ language, text }) => language === 'sh' && text.includes('npm install'))
  t.ok(commands.length > 5)
  const told = commands.flatMap((text) => text.match(/(?<=npm install ).*/g) ?? []).flatMap((text) => text.split(' '))
  const missing = told.filter((name) => !name.startsWith('--') && !existsSync(join(folder, 'node_modules', name)))
  // the first is tried by test/package.check.ts; whoever writes TypeScript here has the compiler of this project
  t.same([...new Set(missing)].sort(), ['@fastify/static', 'typescript'])
  const isElsewhere = ({ page, language, text }: Block) =>
    // by test/package.check.ts
    page === 'README.md' ||
    // written from what is compiled
    page === 'docs/reference.md' ||
    // by test/integration
    ['nginx', 'haproxy'].includes(language) ||
    text.startsWith('user fastify-ws-ticket on ') ||
    // of this repository
    /^npm (ci|run bench)\b/.test(text)
  t.same(
    untriedBlocks((block) => !isElsewhere(block)),
    []
  )
})

/** Starts a program whose input stays open; ended with the test. */
function startProgram(t: Test, command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Interface {
  const child = spawn(...outsideTap(command, args), { cwd, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill()
    await exited
  })
  return createInterface(child.stdout)
}

/** What is in the brackets of a pattern, in the first line that matches it. */
async function lineWith(lines: Interface, pattern: RegExp): Promise<string> {
  for await (const line of lines) {
    const [, found] = pattern.exec(line) ?? []
    if (found !== undefined) return found
  }
  throw new Error(`the program ended without ${pattern}`)
}
