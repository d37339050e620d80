import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import t from 'tap'
import { CloseCode, ControlType } from '../../src/protocol.js'

const MAX_BYTES = 4000

const { outputFiles, metafile } = await build({
  entryPoints: [fileURLToPath(new URL('../../src/client/index.ts', import.meta.url))],
  absWorkingDir: fileURLToPath(new URL('../../', import.meta.url)),
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  platform: 'browser',
  external: ['node:*', 'fastify', 'typebox', 'ws'],
  metafile: true,
  write: false
})
const bundle = outputFiles.map(({ text }) => text).join()

t.test(`the client is at most ${MAX_BYTES} bytes, minified and compressed`, async (t) => {
  const { length } = gzipSync(bundle, { level: 9 })
  t.comment(`${length} bytes`)
  t.ok(length <= MAX_BYTES, `${length} bytes`)
})

t.test('nothing gets into it but the client', async (t) => {
  const inputs = Object.keys(metafile.inputs)
  t.same(
    inputs.filter((file) => !file.startsWith('src/client/')),
    []
  )
  const imports = Object.values(metafile.outputs).flatMap(({ imports }) => imports)
  t.same(imports, [], 'and it imports nothing')
  t.notMatch(bundle, /\b(Buffer|process|require)\b|typebox|fastify(?!-ws-ticket)/)
})

t.test('its sources import nothing else, not even types, but those of the contract', async (t) => {
  for (const file of Object.keys(metafile.inputs)) {
    const source = await readFile(new URL(`../../${file}`, import.meta.url), 'utf8')
    const foreign = [...source.matchAll(/(?:^import|^export) ([^;]*?) from '([^']+)'/gm)].filter(
      ([, , from = '']) => !/^\.\/[\w-]+\.js$/.test(from)
    )
    for (const [, what = '', from = ''] of foreign) {
      t.ok(from === '../protocol.js' || (from === '../contract.js' && what.startsWith('type ')), `${file}: ${from}`)
    }
  }
})

t.test('the types of control frames are those of the protocol, whose table it does not bring along', async (t) => {
  const types = [...bundle.matchAll(/(["'`])(\$\w+)\1/g)].map(([, , type]) => type)
  t.same(types.sort(), Object.values(ControlType).sort())
})

t.test('the codes after which it stops are those of the protocol', async (t) => {
  const { normal, unsupportedData, messageTooBig, badMessages, disconnected, ticketReplayed } = CloseCode
  const { internalError, slowConsumer, limitsExceeded } = CloseCode
  t.same([normal, unsupportedData, messageTooBig, badMessages, disconnected, ticketReplayed], [1000, 1003, 1009, 4400, 4403, 4409])
  t.same([internalError, slowConsumer, limitsExceeded], [1011, 1013, 4429])
})
