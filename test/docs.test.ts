import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { transform } from 'esbuild'
import t from 'tap'
import { STOP } from '../src/client/close-codes.js'
import * as client from '../src/client/index.js'
import { isAbuse } from '../src/connection/close.js'
import { isErrorCode } from '../src/errors.js'
import * as plugin from '../src/index.js'
import { channels } from '../src/metrics/events.js'
import { FAMILIES, HANDLER_SECONDS } from '../src/metrics/families.js'
import * as metrics from '../src/metrics/index.js'
import { CloseCode, ControlType } from '../src/protocol.js'
import * as testing from '../src/testing/index.js'
import { readManifest } from './fixtures/packed.js'
import { allBlocks, pages, textOf } from './fixtures/readme.js'

const ATTACKS = new URL('attack/', import.meta.url)
const SOURCE = new URL('../src/', import.meta.url)
const text = readFileSync(new URL('../docs/security.md', import.meta.url), 'utf8')
const ROW = /^\| ([A-J]\d{1,2}) \| [^|]+ \| (.+) \|$/gm
const FILE = /`([\w-]+)`/g

const rows = [...text.matchAll(ROW)].map(([, id = '', cell = '']) => ({
  id,
  files: [...cell.matchAll(FILE)].map(([, name = '']) => `${name}.test.ts`)
}))

/** The ids of rows in the titles of a file's tests. */
function idsIn(file: string): Set<string> {
  const titles = readFileSync(new URL(file, ATTACKS), 'utf8').matchAll(/['"`]((?:[A-J]\d{1,2} )+)/g)
  return new Set([...titles].flatMap(([, ids = '']) => ids.trim().split(' ')))
}

t.test('every row of the table of attacks has tests, whose titles name it', async (t) => {
  const counts = { A: 12, B: 5, C: 15, D: 10, E: 12, F: 9, G: 12, H: 10, I: 9, J: 8 }
  for (const [section, count] of Object.entries(counts)) {
    t.equal(rows.filter(({ id }) => id.startsWith(section)).length, count, `section ${section}`)
  }
  for (const { id, files } of rows) {
    t.ok(files.length > 0, id)
    for (const file of files) t.ok(existsSync(new URL(file, ATTACKS)) && idsIn(file).has(id), `${id} in ${file}`)
  }
})

t.test('the table leaves out no test of an attack', async (t) => {
  for (const file of readdirSync(ATTACKS)) {
    for (const id of idsIn(file)) t.ok(rows.find((row) => row.id === id)?.files.includes(file), `${id} in ${file}`)
  }
})

t.test('links to files lead somewhere', async (t) => {
  for (const [page, content] of Object.entries(pages)) {
    const prose = content.replace(/^```.*?^```/gms, '')
    for (const [, target = ''] of prose.matchAll(/\]\((?!https?:)([^)#\s]+)[^)]*\)/g)) {
      t.ok(existsSync(new URL(`../${join(dirname(page), target)}`, import.meta.url)), `${page}: ${target}`)
    }
  }
})

t.test('links of the pages that are shipped lead to what is shipped', async (t) => {
  const { files } = await readManifest()
  const shipped = new Set(['README.md', 'LICENSE', ...files.filter((file) => !file.includes('*'))])
  for (const [page, content] of Object.entries(pages)) {
    if (!shipped.has(page) && !page.startsWith('docs/')) continue
    for (const [, target = ''] of content.matchAll(/\]\((?!https?:)([^)#\s]+)[^)]*\)/g)) {
      const file = join(dirname(page), target)
      t.ok(shipped.has(file) || /^docs\/[\w-]+\.md$/.test(file), `${page}: ${target}`)
    }
  }
})

/** What each language's blocks must be here; test/package.check.ts and test/docs.check.ts compile and run them. */
const WELL_FORMED: Readonly<Record<string, (text: string) => unknown>> = {
  js: (text) => transform(text, { format: 'esm', loader: 'js' }),
  cjs: (text) => transform(text, { format: 'cjs', loader: 'js' }),
  ts: (text) => transform(text, { format: 'esm', loader: 'ts' }),
  json: (text) => JSON.parse(text),
  http: (text) => t.match(text, /^HTTP\/1\.1 \d{3} [\w ]+\n([\w-]+: .+\n)+/),
  html: (text) => t.match(text, /^<!doctype html>\n/),
  sh: (text) => execFileSync('sh', ['-n'], { input: text }),
  python: () => t.ok(true),
  text: () => t.ok(true),
  mermaid: (text) => t.match(text, /^sequenceDiagram\n/),
  nginx: () => t.ok(true),
  haproxy: () => t.ok(true)
}

t.test('every block of code is in a language that the tests know, and well formed', async (t) => {
  const fences =
    Object.values(pages)
      .join('\n')
      .match(/^```\w*$/gm) ?? []
  t.equal(allBlocks.length * 2, fences.length, 'all blocks are found')
  for (const { page, language, text } of allBlocks) {
    const check = WELL_FORMED[language]
    const where = `${page}: ${text.split('\n')[0]}`
    if (check) await t.resolves(async () => check(text), where)
    else t.fail(`${where}: ${language} is not known`)
  }
})

t.test('the settings of a proxy stand in one place, so that no lesser copy is taken for them', async (t) => {
  const kept = { nginx: /proxy_pass/, haproxy: /^frontend /m }
  for (const [proxy, sign] of Object.entries(kept)) {
    const found = allBlocks.filter(({ language, text }) => language === proxy || sign.test(text))
    t.same(
      found.map(({ page }) => page),
      ['docs/deployment.md'],
      proxy
    )
  }
})

t.test('the newest entry of CHANGELOG.md is of the version of the package', async (t) => {
  const { version } = await readManifest()
  const [, newest] = /^## (\d+\.\d+\.\d+)/m.exec(textOf('CHANGELOG.md')) ?? []
  t.equal(newest, version)
})

t.test('CHANGELOG.md names whatever a program can import, and each entry of the package', async (t) => {
  const { name, exports } = await readManifest()
  for (const entry of Object.keys(exports)) {
    if (entry !== './package.json') t.ok(textOf('CHANGELOG.md').includes(join(name, entry)), entry)
  }
  const values = Object.keys({ ...plugin, ...client, ...testing, ...metrics }).filter((value) => value !== 'default')
  t.ok(values.length > 10)
  for (const value of values) t.match(textOf('CHANGELOG.md'), new RegExp(`\\b${value}\\b`), value)
})

t.test('what is deprecated says so where it is used, in docs/errors.md and in CHANGELOG.md, as CONTRIBUTING.md promises', async (t) => {
  t.match(textOf('CONTRIBUTING.md'), /^### Deprecation$/m)
  const files = readdirSync(SOURCE, { recursive: true }).map(String)
  const source = files
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(new URL(file, SOURCE), 'utf8'))
    .join('\n')
  const codes = new Set(source.match(/FST_WS_TICKET_DEP\d{3}/g))
  t.equal(source.match(/@deprecated/g)?.length ?? 0, codes.size, 'each has a docstring that says so')
  for (const code of codes) for (const page of ['docs/errors.md', 'CHANGELOG.md']) t.ok(textOf(page).includes(code), `${code} in ${page}`)
})

/** The cells of the rows of a page's section, up to the next heading of its rank or a higher one. */
function rowsOf(page: string, heading: string): string[][] {
  const [, section = ''] = textOf(page).split(`\n${heading}\n`)
  const rank = heading.indexOf(' ')
  const [own = ''] = section.split(new RegExp(`^#{1,${rank}} `, 'm'))
  return (own.match(/^\| .*(?= \|$)/gm) ?? []).map((row) => row.slice(2).split(/(?<!\\) \| /))
}

t.test('the page on the protocol has every frame, close code and status, and says of codes what the client does', async (t) => {
  const PROTOCOL = 'docs/protocol.md'
  const frames = rowsOf(PROTOCOL, '## 3. Frames').map(([, frame = '']) => frame)
  for (const type of Object.values(ControlType))
    t.ok(
      frames.some((frame) => frame.includes(`"type": "${type}"`)),
      type
    )

  const closings = rowsOf(PROTOCOL, '## Close codes').filter(([codes = '']) => /^\d/.test(codes))
  const codes = closings.flatMap(([codes = '', , action = '']) => codes.split(', ').map((code) => ({ code: Number(code), action })))
  // 1001 is sent by pages that go away; no server of ours sends it
  const sent = Object.values(CloseCode).filter((code) => code !== CloseCode.goingAway)
  t.same(codes.map(({ code }) => code).sort(), [...sent, 1002, 1007].sort())
  const final = codes.filter(({ action }) => action === 'stop').map(({ code }) => code)
  t.same(final.sort(), [...STOP].sort())
  const [, inPython = ''] = /^FINAL_CLOSE_CODES = \{(.*)\}$/m.exec(textOf('docs/clients.md')) ?? []
  t.same(inPython.split(', ').map(Number).sort(), final)

  const statuses = (heading: string) => new Set(rowsOf(PROTOCOL, heading).map(([status = '']) => status))
  const answers = { '## 1. The ticket': ['## Asking for a ticket'], '## 2. The upgrade': ['## Upgrading'] }
  for (const [heading, sections] of Object.entries(answers)) {
    for (const section of [...sections, '## Asking for a ticket or an upgrade']) {
      const [, entries = ''] = textOf('docs/errors.md').split(`\n${section}\n`)
      const [own = ''] = entries.split(/^## /m)
      for (const [, status = ''] of own.matchAll(/^Status (\d{3})\./gm)) t.ok(statuses(heading).has(status), `${status} in ${heading}`)
    }
  }
})

t.test('the page on metrics has every metric with its labels, every channel, and the codes that are logged', async (t) => {
  const METRICS = 'docs/metrics.md'
  const metrics = rowsOf(METRICS, '## Prometheus').flatMap(([names = '', labels = '']) =>
    [...names.matchAll(/`(\w+)`/g)].map(([, name = '']) => [name, labels.match(/\w+/g) ?? []])
  )
  t.same(
    Object.fromEntries(metrics),
    Object.fromEntries([...FAMILIES, HANDLER_SECONDS].map(({ name, labels }) => [`ws_ticket_${name}`, [...labels]]))
  )
  const told = rowsOf(METRICS, '## diagnostics_channel').map(([channel = '']) => channel.replaceAll('`', ''))
  t.same(
    told.slice(1),
    Object.values(channels).map(({ name }) => name)
  )
  const [, ...logged] = rowsOf(METRICS, '## Security events in the log').map(([code = '']) => code)
  const closings = logged.flatMap((cell) => (cell.startsWith('`closeCode`') ? (cell.match(/\d{4}/g) ?? []) : []))
  t.same(closings.map(Number), Object.values(CloseCode).filter(isAbuse).sort())
  for (const [, code = ''] of logged.join().matchAll(/`(FST_WS_TICKET_\w+)`/g)) t.ok(isErrorCode(code), code)
})
