/**
 * Documents of all kinds of contracts, and of the chat, before the official parser of AsyncAPI with the rules of its own. It is
 * installed from npm into a folder of its own, as it brings 160 packages. Run by `npm run test:asyncapi`.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { buildChat } from '../examples/chat/app.js'
import { readConfig } from '../examples/chat/config.js'
import { describe, routes } from './fixtures/described-contracts.js'
import { emptyFolder } from './fixtures/packed.js'
import { run } from './fixtures/processes.js'

const PARSER = '@asyncapi/parser@3.6.6'

const PROGRAM = `
import { readFileSync } from 'node:fs'
import { Parser } from '@asyncapi/parser'
const documents = JSON.parse(readFileSync('documents.json', 'utf8'))
const told = []
for (const document of documents) {
  const { document: parsed, diagnostics } = await new Parser().parse(JSON.stringify(document))
  const others = diagnostics.filter(({ code }) => code !== 'asyncapi-latest-version')
  told.push({ isParsed: parsed !== undefined, operations: parsed?.operations().all().length, diagnostics: others })
}
console.log(JSON.stringify(told))
`

t.setTimeout(180_000)

t.test('the official parser has nothing to object to', async (t) => {
  const app = await buildChat(readConfig({}))
  t.teardown(() => app.close())
  const documents = [
    await describe(t, routes),
    await describe(t, routes, { ticketTransport: ['subprotocol', 'query'], authenticate: () => ({ sub: 'ann' }) }),
    (await app.inject('/asyncapi.json')).json()
  ]
  const folder = await emptyFolder(t)
  await writeFile(join(folder, 'documents.json'), JSON.stringify(documents))
  await writeFile(join(folder, 'parse.mjs'), PROGRAM)
  const installed = await run(folder, 'npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', PARSER])
  t.equal(installed.status, 0, installed.stderr)
  const { stdout, stderr } = await run(folder, process.execPath, ['parse.mjs'])
  const expected = documents.map(({ operations }) => ({ isParsed: true, operations: Object.keys(operations).length, diagnostics: [] }))
  t.same(JSON.parse(stdout || '[]'), expected, stderr)
})
