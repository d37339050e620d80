/**
 * Looks for the parts of the system that the tests need and that npm can not install. Installs what is missing with
 * apt-get where that may be done, and names the rest.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** What to look for, the Debian package that has it, and what for. */
const PARTS = [
  { command: 'openssl', debianPackage: 'openssl', purpose: 'makes the certificates of the tests with TLS' },
  { command: 'curl', debianPackage: 'curl', purpose: 'asks REST routes for HTTP/2 in the tests' },
  { command: 'nginx', debianPackage: 'nginx', purpose: 'is the reverse proxy of the tests' },
  { command: 'haproxy', debianPackage: 'haproxy', purpose: 'is the other reverse proxy of the tests' },
  { command: 'redis-server', debianPackage: 'redis-server', purpose: 'is what several nodes share in the tests' },
  { command: 'chromium', debianPackage: 'chromium', purpose: 'opens the pages of the tests' },
  {
    command: 'python3-websockets',
    debianPackage: 'python3-websockets',
    purpose: 'is what the client in Python stands on',
    module: 'websockets'
  }
]

const missing = PARTS.filter((part) => !isPartThere(part))
const privileged = missing.length > 0 && isThere('apt-get') ? commandOfRoot() : undefined
if (privileged) install(privileged, missing)
report()

function isPartThere({ command, module }) {
  return module === undefined ? isThere(command) : placesOf('python3').some((python) => hasModule(python, module))
}

function hasModule(python, module) {
  return spawnSync(python, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0
}

function isThere(command) {
  return placesOf(command).length > 0
}

function placesOf(command) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, command)).filter(isExecutable)
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** What to put before a command to run it as root; undefined where that is not possible without asking. */
function commandOfRoot() {
  if (process.getuid?.() === 0) return []
  const canSudo = isThere('sudo') && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0
  return canSudo ? ['sudo', '-n'] : undefined
}

function install(prefix, parts) {
  const packages = parts.map(({ debianPackage }) => debianPackage)
  run([...prefix, 'apt-get', 'update'])
  run([...prefix, 'apt-get', 'install', '-y', '--no-install-recommends', ...packages])
}

function run([program, ...args]) {
  spawnSync(program, args, { stdio: 'inherit' })
}

function report() {
  for (const part of PARTS) {
    const { command, debianPackage, purpose } = part
    const state = isPartThere(part) ? 'is there' : `is missing: it ${purpose}; install it, on Debian by 'apt-get install ${debianPackage}'`
    process.stdout.write(`${command} ${state}\n`)
  }
  const isComplete = PARTS.every(isPartThere)
  process.exitCode = isComplete || process.env.CI !== 'true' ? 0 : 1
}
