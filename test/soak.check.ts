import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import t from 'tap'
import { inTime } from './fixtures/in-time.js'
import { LineProcess } from './fixtures/line-process.js'
import type { Figures } from './fixtures/soak-census.js'
import type { LoadReport } from './fixtures/soak-load.js'
import type { ServerReport } from './fixtures/soak-server.js'
import { countsTable, figuresTable } from './fixtures/soak-table.js'

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '5000' },
    seconds: { type: 'string', default: '120' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) }
  }
})
const connections = Number(values.connections)
const seconds = Number(values.seconds)
const seed = Number(values.seed)

const MB = 2 ** 20
/**
 * Figures in bytes, which are never twice the same, and how much each may be above the start. In two minutes there are 28,000
 * connections: 100 bytes that each left behind would be more than this. Code that is compiled late takes up to 1 MB.
 */
const MARGINS: Figures = { 'heap used': 2 * MB, external: 2 * MB, 'array buffers': 2 * MB }
/** What the allocator of the system keeps says nothing of what is held. */
const NOT_COMPARED = ['rss', ...Object.keys(MARGINS)]
/** Longer than the plugin keeps anything of those who are gone: tickets, limits, disconnections. Rates are kept for two such times. */
const ALL_FORGOTTEN_MS = 120_000
const TOLD = 'replies not received, as a close code told'
const SETTLING_MS = 30_000
const ENDING_MS = 5000

const WARM_UP_S = Math.max(5, connections / 250 + 10)

t.setTimeout((WARM_UP_S + seconds + 300) * 1000)
t.comment(`${connections} connections, ${seconds} seconds, --seed=${seed}`)

const server = new LineProcess(t, 'soak-server.ts', ['--expose-gc', '--disable-warning=ExperimentalWarning'])
const load = new LineProcess(t, 'soak-load.ts')
const { port } = new URL(await server.ask<string>('address'))

/** Only what must be exactly as it was. */
function exact(figures: Figures): Figures {
  return Object.fromEntries(Object.entries(figures).filter(([name]) => !NOT_COMPARED.includes(name)))
}

/** The figures once nobody is there: the same as the ones before, or what they are when there is no more time. */
async function settled(before?: Figures): Promise<Figures> {
  for (let generation = 0; generation < 3; generation++) {
    await server.ask(`skip ${ALL_FORGOTTEN_MS}`)
    await load.ask(`pass ${port}`)
  }
  await server.ask(`skip ${ALL_FORGOTTEN_MS}`)
  const deadline = performance.now() + SETTLING_MS
  let last = before
  for (;;) {
    await delay(1000)
    const figures = await server.ask<Figures>('measure')
    if (performance.now() > deadline || (last && isDeepStrictEqual(exact(figures), exact(last)))) return figures
    if (!before) last = figures
  }
}

// the same traffic once before: what is compiled, cached and kept in reserve is there when it begins
const warmUp = await load.ask<LoadReport>(`run ${port} ${connections} ${WARM_UP_S * 1000} ${seed}`)
const start = await settled()
await server.ask('begin')
const soak = await load.ask<LoadReport>(`run ${port} ${connections} ${seconds * 1000} ${seed + 1_000_000}`)
// before it is measured, which takes seconds
const { peaks, delays, meanOpen } = await server.ask<ServerReport>('report')
const end = await settled(start)
const { counts, faults } = await server.ask<ServerReport>('report')

t.comment(figuresTable(start, peaks, end).join('\n'))
t.comment(`On average ${meanOpen} connections were open.`)
t.comment(['Seen by the clients:', ...countsTable(soak.counts)].join('\n'))
t.comment(['Seen by the server:', ...countsTable(counts)].join('\n'))
t.comment(['Visits:', ...countsTable(soak.visits)].join('\n'))
t.comment(`Delay of the event loop in ms, for information: server ${JSON.stringify(delays)}, clients ${JSON.stringify(soak.delays)}`)

t.test('everybody saw what was due', async (t) => {
  t.same(warmUp.faults, [])
  t.same(soak.faults, [])
  const { 'replies owed': owed, 'replies received': received = 0, [TOLD]: told = 0 } = soak.counts
  t.equal(received + told, owed, 'no reply is missing of which no close code told')
  const missing = Object.keys(soak.visits).filter((name) => !soak.visits[name])
  t.same(missing, [], 'every behaviour was seen through')
  t.same(faults, [], 'no rejection and no exception of the server went unhandled')
})

t.test('what was opened was closed', async (t) => {
  const closed = Object.entries(counts).filter(([name]) => name.startsWith('connections closed with'))
  t.equal(
    closed.reduce((sum, [, count]) => sum + count, 0),
    counts['connections opened']
  )
  t.equal(counts['connections closed with 1013'], soak.visits.slowReader, 'slow readers, and nobody else, were told so')
})

t.test('nothing is left', async (t) => {
  for (const [name, figure] of Object.entries(exact(start))) t.equal(end[name], figure, name)
})

t.test('nobody was there at the start', async (t) => {
  for (const name of ['connections', 'pendingHandshakes', 'tickets', 'topics', 'users', 'ips', 'messageLimits']) {
    t.equal(start[`stats: ${name}`], 0, name)
  }
  t.equal(start['objects: LiveConnection'], 0)
})

t.test('memory is back', async (t) => {
  for (const [name, margin] of Object.entries(MARGINS)) {
    const grown = (end[name] ?? 0) - (start[name] ?? 0)
    t.ok(grown <= margin, `${name}: ${(grown / MB).toFixed(1)} MB more, at most ${margin / MB} MB are allowed`)
  }
})

t.test('the server ends by itself', async (t) => {
  server.end()
  t.ok(await inTime(server.exited, ENDING_MS))
  t.equal(await server.exited, 0)
})
