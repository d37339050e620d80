import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { CODE_PREFIX, type ErrorName, fail, isErrorCode } from '../src/errors.js'
import { parseOptions, parseRouteLimits, routeOptionNames } from '../src/options.js'
import { pages, textOf } from './fixtures/readme.js'

const options = textOf('docs/options.md')
const errorPage = textOf('docs/errors.md')

/** The cells of the row of the table of options that begins with this name. */
function rowOf(name: string): string[] {
  const line = options.split('\n').find((text) => text.startsWith(`| \`${name}\` |`)) ?? ''
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim())
}

/** The message with which an option is refused. */
function refusalOf(name: string): string {
  try {
    parseOptions({ allowedOrigins: ['https://app.example.com'], [name]: {} })
    return ''
  } catch (error) {
    return String(error)
  }
}

t.test('every option is documented, with its default and what is allowed', async (t) => {
  const [, list = ''] = /is not known; allowed: (.*)\.$/.exec(refusalOf('nonsense')) ?? []
  const names = list.split(', ')
  t.ok(names.length > 30)
  for (const name of names) {
    const [, route, , allowed = ''] = rowOf(name)
    t.equal(route, routeOptionNames.some((own) => own === name) ? '✓' : '', `${name} on a route`)
    const range = /'(\w+)' is .*from (\d+ to \d+(?: ms)?)/.exec(refusalOf(name))
    if (range?.[1] === name) t.equal(allowed.replace('`false`, ', ''), range[2], `${name} allowed`)
  }
  const named = new Set(names)
  const literal = (cell = '') => /^`(.*)`$/.exec(cell)?.[1] ?? ''
  const withDefault = [...named].filter((name) => /^(\d|'|\{|\[|false)/.test(literal(rowOf(name)[2])))
  t.same(
    names.filter((name) => !withDefault.includes(name)),
    ['allowedOrigins', 'authenticate', 'userId', 'store', 'redis', 'clock', 'traceMessage']
  )
  const written = Object.fromEntries(withDefault.map((name) => [name, runInNewContext(`(${literal(rowOf(name)[2])})`)]))
  t.same(effectOf(written), effectOf({}), 'the defaults as written are the defaults')
})

/** The settings that options amount to. */
function effectOf(options: object): object {
  const settings = parseOptions({ allowedOrigins: ['https://app.example.com'], ...options })
  const { routeDefaults, ...others } = settings
  return JSON.parse(JSON.stringify({ ...others, route: parseRouteLimits('/', settings, {}) }))
}

/** Is this the name of an error? */
function isErrorName(name: string): name is ErrorName {
  return isErrorCode(CODE_PREFIX + name)
}

t.test('every error has an entry with its status, to which its help leads as the README says', async (t) => {
  const [, scheme = ''] = /in `help`, as `(\S+)`/.exec(textOf('README.md')) ?? []
  const anchors = anchorsOf('docs/errors.md')
  const source = await readFile(new URL('../src/errors.ts', import.meta.url), 'utf8')
  const errors = [...source.matchAll(/^ {2}([A-Z_]+): \[\s*(\d{3}),/gm)]
  t.ok(errors.length > 40)
  for (const [, name = '', status = ''] of errors) {
    const [, said] =
      new RegExp(`^### \`FST_WS_TICKET_${name}\`\n\nStatus (\\d{3})\\. .+\n\n\\*\\*What to do:\\*\\* `, 'm').exec(errorPage) ?? []
    t.equal(said, status, name)
    if (!isErrorName(name)) throw new Error(`${name} is not in the table`)
    const { code, help } = fail(name)
    t.ok(anchors.has(help.replace('fastify-ws-ticket/docs/errors.md#', '')), help)
    t.equal(help, scheme.replace('fst_ws_ticket_…', code.toLowerCase()), 'as the README says')
  }
  t.equal(errorPage.match(/^### /gm)?.length, errors.length, 'and there is no other entry')
})

t.test('every link between the pages, and within one, leads somewhere', async (t) => {
  for (const [page, text] of Object.entries(pages)) {
    const prose = text.replace(/^```.*?^```/gms, '')
    for (const [, path = '', anchor = ''] of prose.matchAll(/\]\((?!https?:)([^)#\s]*)#([^)]+)\)/g)) {
      const target = path === '' ? page : join(dirname(page), path)
      t.ok(anchorsOf(target).has(anchor), `${page}: ${target}#${anchor}`)
    }
  }
})

/** The anchors that GitHub gives the headings of a page. */
function anchorsOf(page: string): Set<string> {
  const prose = textOf(page).replace(/^```.*?^```/gms, '')
  const headings = [...prose.matchAll(/^#{1,4} (.*)$/gm)].map(([, heading = '']) => heading)
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-')
    )
  )
}
