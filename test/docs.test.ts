import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'

const ATTACKS = new URL('attack/', import.meta.url)
const text = readFileSync(new URL('../docs/security.md', import.meta.url), 'utf8')
const ROW = /^\| ([A-J]\d{1,2}) \| [^|]+ \| (.+) \|$/gm
const FILE = /\]\(\.\.\/test\/attack\/([\w-]+\.test\.ts)\)/g

const rows = [...text.matchAll(ROW)].map(([, id = '', cell = '']) => ({ id, files: [...cell.matchAll(FILE)].map(([, file = '']) => file) }))

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

t.test('links to files and sections lead somewhere', async (t) => {
  for (const [page, folder] of [
    ['docs/security.md', 'docs/'],
    ['docs/deployment.md', 'docs/'],
    ['docs/performance.md', 'docs/'],
    ['SECURITY.md', './']
  ] as const) {
    const content = readFileSync(new URL(`../${page}`, import.meta.url), 'utf8')
    for (const [, target = ''] of content.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      t.ok(existsSync(new URL(`../${folder}${target}`, import.meta.url)), `${page}: ${target}`)
    }
  }
})
