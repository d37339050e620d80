import { readFile } from 'node:fs/promises'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { parseOptions, parseRouteLimits, routeOptionNames } from '../src/options.js'
import { readme } from './fixtures/readme.js'

/** The cells of the row of a table that begins with this name. */
function rowOf(name: string): string[] {
  const line = readme.split('\n').find((text) => text.startsWith(`| \`${name}\` |`)) ?? ''
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

t.test('every option stands in the README, with its default and what is allowed', async (t) => {
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

t.test('every error stands in the README with its status', async (t) => {
  const source = await readFile(new URL('../src/errors.ts', import.meta.url), 'utf8')
  const errors = [...source.matchAll(/^ {2}([A-Z_]+): \[(\d{3}),/gm)]
  t.ok(errors.length > 30)
  for (const [, name = '', status] of errors) t.equal(rowOf(`FST_WS_TICKET_${name}`)[1], status, name)
})

t.test('every link within the README leads somewhere', async (t) => {
  const headings = [...readme.matchAll(/^## (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w -]/g, '')
      .replaceAll(' ', '-')
  )
  const links = [...readme.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor)
  t.same(
    links.filter((anchor) => !headings.some((heading) => heading === anchor)),
    []
  )
})
