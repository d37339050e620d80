import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import type { Table } from './compare.js'
import { table } from './table.js'

const RESULTS = new URL('results.json', import.meta.url)
const PAGE = new URL('../docs/performance.md', import.meta.url)

interface Entry {
  readonly on: string
  readonly machine: string
  readonly tables: readonly Table[]
}

/** The results that were measured last, of each part: results.json, and the tables of docs/performance.md. */
export class Book {
  #entries: Record<string, Entry> = existsSync(RESULTS) ? JSON.parse(readFileSync(RESULTS, 'utf8')) : {}

  clear(): void {
    this.#entries = {}
  }

  enter(part: string, tables: readonly Table[]): void {
    const machine = `${cpus().length} cores of ${cpus()[0]?.model.trim()}, Node ${process.version}`
    this.#entries[part] = { on: new Date().toISOString().slice(0, 10), machine, tables }
    writeFileSync(RESULTS, `${JSON.stringify(this.#entries, null, 2)}\n`)
  }

  /** Puts the tables of each part between the marks that the page has for it. */
  writePage(): void {
    let page = readFileSync(PAGE, 'utf8')
    for (const [part, { on, machine, tables }] of Object.entries(this.#entries)) {
      const marks = new RegExp(`(<!-- ${part} -->\n)[^]*?(<!-- /${part} -->)`)
      const text = [...tables.map(table), `Measured on ${on}: ${machine}.`].join('\n\n')
      page = page.replace(marks, (_, begin, end) => `${begin}\n${text}\n\n${end}`)
    }
    writeFileSync(PAGE, page)
  }
}
