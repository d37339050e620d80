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
  { command: 'chromium', debianPackage: 'chromium', purpose: 'opens the pages of the tests' }
]

const missing = PARTS.filter(({ command }) => !isThere(command))
const privileged = missing.length > 0 && isThere('apt-get') ? commandOfRoot() : undefined
if (privileged) install(privileged, missing)
report()

function isThere(command) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && isExecutable(join(folder, command)))
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
  for (const { command, debianPackage, purpose } of PARTS) {
    const state = isThere(command) ? 'is there' : `is missing: it ${purpose}; install it, on Debian by 'apt-get install ${debianPackage}'`
    process.stdout.write(`${command} ${state}\n`)
  }
  const isComplete = PARTS.every(({ command }) => isThere(command))
  process.exitCode = isComplete || process.env.CI !== 'true' ? 0 : 1
}
