import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { emptyFolder } from './fixtures/packed.js'
import { type Finished, run, STRIP_TYPES } from './fixtures/processes.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const folder = await emptyFolder(t)
await writeFile(join(folder, 'present'), '#!/bin/sh\n', { mode: 0o755 })
await writeFile(join(folder, 'no-program'), '', { mode: 0o644 })

/** Runs a suite that needs a command, in a process of its own that has only that folder to look into. */
function runSuite(command: string, CI: string): Promise<Finished> {
  const suite = `
    import t from 'tap'
    import { needs } from './fixtures/parts.ts'
    process.env.PATH = ${JSON.stringify(folder)}
    t.test('a suite', async (t) => {
      if (needs(t, '${command}')) t.pass('it ran')
    })`
  return run(here, process.execPath, [STRIP_TYPES, '--input-type=module', '--eval', suite], { ...process.env, CI })
}

t.test('a suite whose part is there runs', async (t) => {
  const { status, stdout } = await runSuite('present', 'true')
  t.equal(status, 0)
  t.match(stdout, /ok 1 - it ran/)
})

t.test('a suite whose part is missing is skipped with a reason that says what to do', async (t) => {
  for (const command of ['absent', 'no-program']) {
    const { status, stdout } = await runSuite(command, '')
    t.equal(status, 0)
    t.match(stdout, `ok 1 - a suite`)
    t.match(stdout, `# SKIP ${command} is missing; run: npm run setup`)
    t.notMatch(stdout, /it ran/)
  }
})

t.test('a suite whose part is missing fails in CI', async (t) => {
  const { status, stdout } = await runSuite('absent', 'true')
  t.not(status, 0)
  t.match(stdout, /not ok 1 - absent is missing; run: npm run setup/)
  t.notMatch(stdout, /it ran/)
})
