import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { outsideTap } from './fixtures/processes.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = 'test/types'

/** What the compiler says. */
function compilerOutput(): Promise<string> {
  const arguments_ = ['node_modules/typescript/bin/tsc', '-p', `${folder}/tsconfig.json`, '--pretty', 'false']
  return new Promise((resolve) => {
    execFile(...outsideTap(process.execPath, arguments_), { cwd: root }, (_error, stdout) => resolve(stdout))
  })
}

/** The errors of it, each as `file:line code`. */
function errorsIn(output: string): string[] {
  const errors = [...output.matchAll(/^(\S+)\((\d+),\d+\): error (TS\d+)/gm)]
  return errors.map(([, file, line, code]) => `${file}:${line} ${code}`).sort()
}

/** What the comments `// error TS…` say must be reported. */
async function expected(file: string): Promise<string[]> {
  const lines = (await readFile(`${root}/${folder}/${file}`, 'utf8')).split('\n')
  return lines.flatMap((line, index) => {
    const code = / \/\/ error (TS\d+)$/.exec(line)?.[1]
    return code === undefined ? [] : [`${folder}/${file}:${index + 1} ${code}`]
  })
}

t.test('the public types accept what is right and refuse what is wrong, line by line', async (t) => {
  const files = (await readdir(`${root}/${folder}`)).filter((file) => file.endsWith('.ts'))
  t.same(files.sort(), ['accepted.ts', 'refused.ts'])
  t.same(await expected('accepted.ts'), [])
  const refusals = await expected('refused.ts')
  t.ok(refusals.length > 50)
  const output = await compilerOutput()
  t.same(errorsIn(output), refusals.sort())
  for (const advice of [
    'AuthorizeMustNotReturnUndefined',
    'WriteAuthorizeBeforeHandlersAndOnOpenAndOnClose',
    'TheAnswerToAMessageStandsInReply',
    'TheSchemaOfAnEventStandsByItself'
  ]) {
    t.match(output, advice, 'what is refused by the name of a type says what to do')
  }
})
