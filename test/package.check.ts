import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { launchBrowser } from './fixtures/browser.js'
import { replaced, runners } from './fixtures/kit-runners.js'
import { compile, emptyFolder, install, installAsNamed, packPackage, pin } from './fixtures/packed.js'
import { needs } from './fixtures/parts.js'
import { freePort } from './fixtures/ports.js'
import { outsideTap, run } from './fixtures/processes.js'
import { type Block, blockAfter, blocks, blockWith, readme, untriedBlocks } from './fixtures/readme.js'
import { programsCompile } from './fixtures/strict-programs.js'

// all of it together takes longer than a test may by default
t.setTimeout(300_000)

// one folder, made as the README says: to pack and to install takes longer than all that is tried in it
const tarball = await packPackage(t)
const folder = await emptyFolder(t)
const [initialize = '', setType = '', installing = ''] = blockAfter('In an empty folder').trim().split('\n')
const [npm, verb, own, ...named] = installing.split(' ')
for (const command of [initialize, setType]) {
  const { status, stderr } = await shell(command)
  if (status !== 0) throw new Error(`${command}: ${stderr}`)
}
await install(folder, tarball, [...named, '@fastify/cors', '@fastify/static', '@types/node', '@types/ws'])

const ENTRIES = ['.', './client', './testing', './metrics', './package.json']
const EXPORTS = ['CloseCode', 'SUBPROTOCOL', 'default', 'defineContract', 'systemClock', 'wsTicket']

/** What a program prints as JSON. */
async function output(name: string, program: string): Promise<unknown> {
  await writeFile(join(folder, name), program)
  const { status, stdout, stderr } = await run(folder, process.execPath, [name])
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}

t.test('the tarball holds what users need and nothing else', async (t) => {
  const { stdout } = await run(folder, 'tar', ['-tzf', tarball])
  const files = stdout.trim().split('\n')
  const pages = files.filter((file) => /^package\/docs\/[\w-]+\.md$/.test(file))
  const built = files.filter((file) => file.startsWith('package/dist/'))
  const beside = files.filter((file) => !pages.includes(file) && !built.includes(file))
  t.same(
    beside.sort(),
    ['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'examples/metrics/grafana-dashboard.json', 'package.json'].map(
      (name) => `package/${name}`
    )
  )
  const linked = [...readme.matchAll(/\]\((docs\/[\w-]+\.md)/g)].map(([, page = '']) => `package/${page}`)
  t.same(
    linked.filter((page) => !pages.includes(page)),
    []
  )
  t.same(
    built.filter((file) => !/\.(js|d\.ts)$/.test(file)),
    []
  )
  const { exports, publishConfig } = JSON.parse(await readFile(join(folder, 'node_modules/fastify-ws-ticket/package.json'), 'utf8'))
  t.same(Object.keys(exports), ENTRIES)
  const targets = [...JSON.stringify(exports).matchAll(/"\.\/(dist\/[^"]+)"/g)].map(([, target]) => `package/${target}`)
  t.equal(targets.length, 8)
  for (const target of targets) t.ok(built.includes(target), target)
  t.equal(publishConfig.provenance, true)
})

t.test('publint and arethetypeswrong find nothing wrong with it', async (t) => {
  const tools = await emptyFolder(t)
  await installAsNamed(tools, ['publint@0.3.25', '@arethetypeswrong/cli@0.18.5'])
  const publint = await run(tools, 'node_modules/.bin/publint', ['run', tarball, '--strict'])
  t.equal(publint.status, 0, publint)
  // it is for Node 20.19 and later, where require takes an ES module, and for compilers that read exports
  const types = await run(tools, 'node_modules/.bin/attw', [tarball, '--profile', 'esm-only', '--format', 'json'])
  t.equal(types.status, 0, types)
  t.same(Object.keys(JSON.parse(types.stdout).analysis.entrypoints), ENTRIES)
})

t.test('it is imported', async (t) => {
  const program = `import * as all from 'fastify-ws-ticket'
    console.log(JSON.stringify({ names: Object.keys(all), isSame: all.default === all.wsTicket }))`
  t.same(await output('imports.js', program), { names: EXPORTS, isSame: true })
})

t.test('it is required, and registered as what require answers', async (t) => {
  const program = `const all = require('fastify-ws-ticket')
    const app = require('fastify')()
    app.register(require('@fastify/jwt'), { secret: 'a secret of the tests that is long enough' })
    app.register(require('fastify-ws-ticket'), { allowedOrigins: ['https://app.example.com'] })
    app.after(() => { app.wsRoute('/chat', { contract: all.defineContract({}), handlers: {} }) })
    app.ready().then(() => {
      const names = Object.keys(all).filter((name) => name !== '__esModule')
      console.log(JSON.stringify({ names, isSame: all.default === all.wsTicket, hasRoute: app.hasRoute({ method: 'GET', url: '/chat' }) }))
      return app.close()
    })`
  t.same(await output('requires.cjs', program), { names: EXPORTS, isSame: true, hasRoute: true })
})

t.test('the command of the README installs the package', async (t) => {
  t.same([npm, verb, own], ['npm', 'install', 'fastify-ws-ticket'])
})

t.test('the quick start prints what it promises', async (t) => {
  await writeFile(join(folder, 'server.js'), blockAfter('`server.js`:'))
  await writeFile(join(folder, 'client.js'), blockAfter('`client.js`:'))
  const server = startServer(t, blockAfter('Start the server').trim())
  const { value: line = '' } = await createInterface(server.stdout)[Symbol.asyncIterator]().next()
  const port = /:(\d+)$/.exec(line)?.[1] ?? ''
  t.equal(line.replace(port, '3000'), blockWith('text', 'listening on').trim())
  const client = await shell(blockAfter('in a second terminal').trim(), { PORT: port })
  t.same(client, { status: 0, stdout: client.stdout, stderr: '' })
  t.equal(shape(client.stdout), shape(blockWith('text', '$welcome')))
})

t.test('the program with the client prints what it is sent', async (t) => {
  const PORT = await startPageServer(t)
  await writeFile(join(folder, 'program.js'), blockAfter('`program.js`:'))
  const { status, stdout, stderr } = await shell('node program.js', { PORT })
  t.same({ status, stdout, stderr }, { status: 0, stdout: 'open\nann: hello\n{ id: 1 }\nclosed\n', stderr: '' })
})

t.test('the program finds its way with the WebSocket of Node, made to tell an Origin as the README shows', async (t) => {
  const PORT = await startPageServer(t)
  const [imported, given] = ["import WebSocket from 'ws'\n", 'WebSocket, origin:']
  const program = replaced(replaced(blockAfter('`program.js`:'), imported, ''), given, 'WebSocket: WebSocketWithOrigin, origin:')
  await writeFile(join(folder, 'native.js'), blockWith('js', 'class WebSocketWithOrigin') + program)
  const flags = 'WebSocket' in globalThis ? '' : '--experimental-websocket --no-warnings '
  const { stdout, stderr } = await shell(`node ${flags}native.js`, { PORT })
  t.same({ stdout, stderr }, { stdout: 'open\nann: hello\n{ id: 1 }\nclosed\n', stderr: '' })
})

t.test('the page with the client chats at first try, and comes back after a restart', async (t) => {
  if (!needs(t, 'chromium')) return
  const port = await startPageServer(t)
  const page = await (await launchBrowser(t)).newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(error.message))
  await page.goto(`http://127.0.0.1:${port}/`)
  await page.getByLabel('Message').fill('hello')
  await page.getByRole('button').click()
  await page.getByText('ann: hello').waitFor()
  t.equal(await page.locator('#status').textContent(), 'open')
  await page.getByLabel('Message').fill('x'.repeat(501))
  await page.getByRole('button').click()
  await page.getByText('does not match the schema').waitFor()
  await stopServers()
  await page.getByText(/waiting|connecting \(/).waitFor()
  await startPageServer(t, port)
  await page.getByLabel('Message').fill('again')
  await page.getByRole('button').click()
  await page.getByText('ann: again').waitFor()
  t.same(faults, [])
})

const [, suiteFile = '', suiteCommand = ''] = /`(\w[\w.]*)`, run by `(node --test [^`]+)`/.exec(readme) ?? []
const suite = blockWith('js', "from 'node:test'")

/** What makes each of its tests fail, and what is said of it. */
const FAULTS = [
  { before: "chat.publish(connection.params.room, 'said', payload)", after: '', told: /said did not come within 4000 ms/ },
  { before: "code: 'FST_WS_TICKET_FORBIDDEN'", after: "code: 'ANOTHER'", told: /FST_WS_TICKET_FORBIDDEN/ },
  { before: "await clock.advance('5 seconds')", after: '', told: /Too many messages/ }
]

t.test(
  'the example of a test passes as it is run there, and under tap and vitest as an app has them, which all see what is wrong',
  async (t) => {
    await writeFile(join(folder, suiteFile), suite)
    const { status, stdout } = await shell(suiteCommand)
    t.equal(status, 0, { stdout })
    t.match(stdout, /pass 3/)
    t.match(
      readme,
      /`import \{ test \} from 'vitest'` .*`t\.onTestFinished` in place of `t\.after`, with tap .*from 'tap'` and `t\.teardown`/
    )
    const app = await emptyFolder(t)
    await writeFile(join(app, 'package.json'), JSON.stringify({ name: 'app', private: true, type: 'module' }))
    // the last that runs on Node 20, too
    await installAsNamed(app, [tarball, await pin('fastify'), await pin('@fastify/jwt'), await pin('typebox'), 'vitest@^4'])
    const faulty = FAULTS.reduce((text, { before, after }) => replaced(text, before, after), suite)
    for (const [name, runSuite] of Object.entries(runners)) {
      const { output, ...counts } = await runSuite(app, 'chat.test.js', suite)
      t.same(counts, { status: 0, passed: 3, failed: 0 }, name, { output })
      const { output: complaints, ...faults } = await runSuite(app, 'faulty.test.js', faulty)
      t.same(faults, { status: 1, passed: 0, failed: 3 }, `${name} with what is wrong`, { complaints })
      for (const { told } of FAULTS) t.match(complaints, told)
    }
  }
)

t.test('the fragments with a proxy, CORS, a global hook, REST routes and plugins of the app do what they say', async (t) => {
  await writeFile(join(folder, 'fragments.js'), fragments())
  const { status, stdout, stderr } = await shell('node fragments.js')
  t.equal(status, 0, { stderr })
  t.same(JSON.parse(stdout), {
    plainOrigin: 'https://app.example.com',
    ticket: 201,
    forwarded: 201,
    clear: 403,
    withoutToken: 401,
    login: 404,
    push: { disconnected: 0, ticketsVoided: 0 },
    document: ['3.0.0', 'Chat', ['chat']],
    welcome: '$welcome'
  })
})

t.test('all scripts of the README parse, and the one for CommonJS runs', async (t) => {
  const scripts = blocks.filter(({ language }) => language === 'js')
  t.ok(scripts.length > 5)
  for (const [index, { text }] of scripts.entries()) {
    const name = `block-${index}.js`
    await writeFile(join(folder, name), text)
    t.equal((await shell(`node --check ${name}`)).stderr, '', text.split('\n')[0] ?? '')
  }
  await writeFile(join(folder, 'block.cjs'), blockWith('cjs', 'require('))
  t.same(await shell('node block.cjs', { JWT_SECRET: 'x' }), { status: 0, stdout: '', stderr: '' })
})

t.test('its declarations and the TypeScript of the README compile in a strict project, with the user that the app declared', async (t) => {
  await programsCompile(t, folder, (args) => compile(folder, args))
})

const PAGE = `
import { createClient, WsTicketError } from 'fastify-ws-ticket/client'
import type { TObject, TString } from 'typebox'

type Text = TObject<{ text: TString }>
interface Chat { messages: { say: { payload: Text; reply: Text } }; events: { news: Text } }

const client = createClient<Chat>({ url: '/chat', token: () => localStorage.getItem('token'), WebSocket, fetch })
client.on('news', ({ text }) => document.body.append(text))
client.send('say', { text: 'x' }).catch((error) => error instanceof WsTicketError && error.code)
`

t.test('the declarations of the client compile for a page, without the types of Node', async (t) => {
  await writeFile(join(folder, 'page.ts'), PAGE)
  const options =
    '--noEmit --strict --exactOptionalPropertyTypes --skipLibCheck false --target ES2022 --lib ES2023,DOM --moduleResolution bundler'
  const { stdout } = await compile(folder, [...options.split(' '), '--module', 'ESNext', '--types', '', 'page.ts'])
  t.equal(stdout, '')
})

t.test('no block of the README was left out', async (t) => {
  const isElsewhere = ({ language, text }: Block) =>
    // compiled and run by test/docs.check.ts, as is what npm is told to install
    language === 'ts' ||
    text.startsWith('npm install ') ||
    // of this repository
    text.startsWith('npm ci') ||
    language === 'mermaid'
  t.same(
    untriedBlocks((block) => block.page === 'README.md' && !isElsewhere(block)),
    []
  )
})

/** What the README shows with the random and the passing made equal. */
function shape(output: string): string {
  return output.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<id>').replace(/"expiresAt":\d{13}/g, '"expiresAt":<ms>')
}

/** An app made of the README's fragments, and what can be seen of it. */
function fragments(): string {
  const cors = blockWith('js', 'exposedHeaders')
  return `
import fastifyHelmet from '@fastify/helmet'
import fastifyJwt from '@fastify/jwt'
import fastifyRateLimit from '@fastify/rate-limit'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import wsTicket, { defineContract } from 'fastify-ws-ticket'
import Type from 'typebox'
${cors
  .split('\n')
  .filter((line) => line.startsWith('import'))
  .join('\n')}
${blockWith('js', 'trustProxy')}
await app.register(fastifyJwt, { secret: 'a secret of the tests that is long enough' })
${cors
  .split('\n')
  .filter((line) => !line.startsWith('import') && !line.includes('wsTicket'))
  .join('\n')}
${blockWith('js', 'register(fastifyHelmet)')}
${blockWith('js', 'isTicketUpgrade')}
const event = Type.Object({ id: Type.Integer(), room: Type.String(), from: Type.String(), text: Type.String() })
const chat = app.wsRoute('/chat', { contract: defineContract({ events: { 'chat.message': event } }), handlers: {} })
${blockWith('js', "'/rooms/:room/close'")}
${blockWith('js', "'/asyncapi.json'")}
await app.ready()
const origin = 'https://app.example.com'
const authorization = 'Bearer ' + app.jwt.sign({ sub: 'ann' })
const headers = { 'content-type': 'application/json', origin, authorization }
const ticket = (more, remoteAddress) => app.inject({ method: 'POST', url: '/chat/ticket', headers: { ...headers, ...more }, remoteAddress })
const forwarded = { 'x-forwarded-for': '203.0.113.7', 'x-forwarded-proto': 'https' }
const described = async () => {
  const { asyncapi, info, channels } = (await app.inject({ url: '/asyncapi.json', headers: { authorization } })).json()
  return [asyncapi, info.title, Object.keys(channels)]
}
const issued = await ticket({})
let welcome
const socket = await app.injectWS('/chat', { headers: { host: 'localhost', origin, 'sec-websocket-protocol': issued.json().protocols.join(', ') } }, {
  onInit(socket) { welcome = new Promise((resolve) => socket.once('message', (data) => resolve(JSON.parse(data).type))) }
})
console.log(JSON.stringify({
  plainOrigin: issued.headers['access-control-allow-origin'],
  ticket: issued.statusCode,
  forwarded: (await ticket(forwarded)).statusCode,
  clear: (await ticket({ ...forwarded, 'x-forwarded-proto': 'http' })).statusCode,
  withoutToken: (await app.inject({ method: 'GET', url: '/rooms' })).statusCode,
  login: (await app.inject({ method: 'GET', url: '/login' })).statusCode,
  push: (await app.inject({ method: 'POST', url: '/rooms/lobby/close', headers: { authorization } })).json(),
  document: await described(),
  welcome: await welcome
}))
socket.terminate()
await app.close()
`
}

function shell(command: string, env: NodeJS.ProcessEnv = {}) {
  const [program = '', ...args] = command.split(' ')
  return run(folder, program, args, { ...process.env, ...env })
}

/** The server of the quick start with the page of the section Client; answers its port. */
async function startPageServer(t: Test, wanted?: string): Promise<string> {
  const port = wanted ?? String(await freePort())
  const [start = '', end = ''] = blockAfter('`server.js`:').split(/(?=const address)/)
  await mkdir(join(folder, 'public'), { recursive: true })
  await writeFile(join(folder, 'page-server.js'), start + blockWith('js', "'/fastify-ws-ticket/'") + end)
  await writeFile(join(folder, 'public/index.html'), blockAfter('`public/index.html`:'))
  await writeFile(join(folder, 'public/page.js'), blockAfter('`public/page.js`:'))
  const server = startServer(t, 'node page-server.js', port)
  await createInterface(server.stdout)[Symbol.asyncIterator]().next()
  return port
}

const running = new Set<ChildProcessByStdio<null, Readable, null>>()

async function stopServers(): Promise<void> {
  for (const server of running) {
    running.delete(server)
    const exited = once(server, 'exit')
    server.kill()
    await exited
  }
}

/** Starts a server, on a free port unless told; stopped with the test. */
function startServer(t: Test, command: string, port = '0'): ChildProcessByStdio<null, Readable, null> {
  const [program = '', ...args] = command.split(' ')
  const server = spawn(...outsideTap(program, args), {
    cwd: folder,
    env: { ...process.env, PORT: port },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  running.add(server)
  t.teardown(stopServers)
  return server
}
