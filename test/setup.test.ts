import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { emptyFolder } from './fixtures/packed.js'
import { type Finished, run } from './fixtures/processes.js'

const COMMANDS = ['openssl', 'curl', 'nginx', 'haproxy', 'redis-server', 'chromium', 'python3-websockets']
const ALL_THERE = COMMANDS.map((command) => `${command} is there\n`).join('')
const SCRIPT = fileURLToPath(new URL('setup.mjs', import.meta.url))

/** A system of programs that only write down how they are called. */
class FakeSystem {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async add(command: string, script = ''): Promise<void> {
    const record = `echo "${command} $*" >> '${join(this.#folder, 'calls.txt')}'`
    await writeFile(join(this.#folder, command), `#!/bin/sh\n${record}\n${script}\n`, { mode: 0o755 })
  }

  /** An apt-get that makes a program of whatever it is asked for. */
  async addAptGet(): Promise<void> {
    const install = `cd '${this.#folder}'; for name; do case $name in -*|install);; *) echo > $name; /bin/chmod +x $name;; esac; done`
    await this.add('apt-get', `[ "$1" = install ] || exit 0\n${install}`)
  }

  /** A Python that has its module once the package of that is there. */
  async addPython(): Promise<void> {
    const has = `[ "$2" = 'import websockets' ] && [ -e '${join(this.#folder, 'python3-websockets')}' ]`
    await writeFile(join(this.#folder, 'python3'), `#!/bin/sh\n${has}\n`, { mode: 0o755 })
  }

  async setUp(CI: string): Promise<Finished> {
    return await run(this.#folder, process.execPath, [SCRIPT], { PATH: this.#folder, CI })
  }

  async calls(): Promise<string[]> {
    const text = await readFile(join(this.#folder, 'calls.txt'), 'utf8').catch(() => '')
    return text.split('\n').filter((line) => line !== '')
  }
}

async function fakeSystem(t: Test): Promise<FakeSystem> {
  const system = new FakeSystem(await emptyFolder(t))
  // whoever is not root needs it
  await system.add('sudo', 'shift; exec "$@"')
  await system.add('true')
  await system.addPython()
  return system
}

t.test('where nothing is missing it says so and installs nothing', async (t) => {
  const system = await fakeSystem(t)
  await system.addAptGet()
  for (const command of COMMANDS) await system.add(command)
  const { status, stdout } = await system.setUp('true')
  t.equal(status, 0)
  t.equal(stdout, ALL_THERE)
  t.same(await system.calls(), [])
})

t.test('what is missing is installed, once, and nothing else', async (t) => {
  const system = await fakeSystem(t)
  await system.addAptGet()
  await system.add('nginx')
  const { status, stdout } = await system.setUp('true')
  t.equal(status, 0)
  t.equal(stdout, ALL_THERE)
  const calls = (await system.calls()).filter((call) => call.startsWith('apt-get'))
  t.same(calls, [
    'apt-get update',
    'apt-get install -y --no-install-recommends openssl curl haproxy redis-server chromium python3-websockets'
  ])
  await system.setUp('true')
  t.equal((await system.calls()).filter((call) => call.startsWith('apt-get')).length, 2)
})

t.test('what can not be installed is named, which is a failure in CI only', async (t) => {
  const cases = [
    ['', 0],
    ['true', 1]
  ] as const
  for (const [CI, expected] of cases) {
    const system = await fakeSystem(t)
    const { status, stdout } = await system.setUp(CI)
    t.equal(status, expected)
    const lines = stdout.trimEnd().split('\n')
    t.equal(lines.length, COMMANDS.length)
    for (const [index, command] of COMMANDS.entries()) {
      t.match(lines[index], new RegExp(`^${command} is missing: it \\w+ .*'apt-get install ${command}'$`))
    }
    t.same(await system.calls(), [])
  }
})

t.test('an apt-get that fails is as good as none', async (t) => {
  const system = await fakeSystem(t)
  await system.add('apt-get', 'exit 100')
  const { status, stdout } = await system.setUp('true')
  t.equal(status, 1)
  t.match(stdout, /^openssl is missing/)
})
