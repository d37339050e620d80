import { execFileSync } from 'node:child_process'
import { type Contender, compare, type Part, type Reading, type Table } from './compare.js'
import { openAll } from './handshake.js'
import { Program } from './program.js'
import { watchCpu } from './watch-cpu.js'

const FEW = 100
const MANY = 10_000
const TALKERS = 64
const MEMBERS = 64
const ROUNDS = 7
const RUN_MS = 600
const HANDSHAKES = 1000
const PUBLISHES = 100
/** Besides those of the connections. */
const OTHER_FILES = 500

const few = `${FEW} connections open`
const many = `${MANY.toLocaleString('en-US')} connections open`
/** At most 1.25 times the cost. */
const targets = [{ name: many, atLeast: 0.8 }]

/** What the same work costs when there are many more connections that have no part in it. */
export const growth: Part = {
  needs: true,
  async measure(): Promise<Table[]> {
    checkFiles()
    const load = await Program.start('load/main.ts')
    const sites = [await Site.open(load, FEW), await Site.open(load, MANY)]
    const contenders = (run: (site: Site) => Promise<Reading>): Contender[] =>
      sites.map((site, index) => ({ name: index === 0 ? few : many, run: () => run(site) }))
    try {
      return [
        {
          title: `Echo of 150 bytes, ${TALKERS} connections talk, one in flight each`,
          unit: 'per second',
          results: await compare(
            contenders((site) => site.echo()),
            ROUNDS
          ),
          targets
        },
        {
          title: 'Handshakes, ticket and upgrade',
          unit: 'per second',
          results: await compare(
            contenders((site) => site.handshakes()),
            ROUNDS
          ),
          targets
        },
        {
          title: `Event of 200 bytes to a topic of ${MEMBERS} members`,
          unit: 'deliveries per second of CPU time',
          results: await compare(
            contenders((site) => site.publish()),
            ROUNDS
          ),
          targets
        }
      ]
    } finally {
      for (const site of sites) await site.close()
      await load.stop()
    }
  }
}

/** A server with so many connections, of which some do something. */
class Site {
  readonly #server: Program
  readonly #load: Program
  readonly #talkers: number

  private constructor(server: Program, load: Program, talkers: number) {
    this.#server = server
    this.#load = load
    this.#talkers = talkers
  }

  static async open(load: Program, connections: number): Promise<Site> {
    const server = await Program.start('servers/ticket-many.ts')
    const { group = 0 } = await load.ask('open', { wire: 'ticket', port: server.port, connections: TALKERS })
    await server.ask('gather', { members: MEMBERS })
    await load.ask('hold', { opener: 'ticket', port: server.port, count: connections - TALKERS })
    return new Site(server, load, group)
  }

  async echo(): Promise<Reading> {
    const watch = await watchCpu(this.#server, this.#load)
    const asked = { group: this.#talkers, type: 'echo', inFlight: 1, forMs: RUN_MS }
    const { replies = 0, ms = 0 } = await this.#load.ask('echo', asked)
    const { cpuMs, isLoadBound } = await watch()
    return { perSecond: (replies / ms) * 1000, perCpuSecond: (replies / cpuMs) * 1000, isLoadBound }
  }

  async handshakes(): Promise<Reading> {
    return await openAll(this.#load, this.#server, 'ticket', HANDSHAKES)
  }

  async publish(): Promise<Reading> {
    const { delivered = 0, ms = 0 } = await this.#server.ask('publish', { times: PUBLISHES })
    return { perSecond: (delivered / ms) * 1000 }
  }

  async close(): Promise<void> {
    await this.#server.stop()
  }
}

/** Each connection is an open file of the server, and one of what loads it. */
function checkFiles(): void {
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }))
  const needed = FEW + MANY + OTHER_FILES
  if (limit < needed) throw new Error(`growth needs ${needed} open files, and 'ulimit -Hn' is ${limit}: raise it`)
}
