import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { buildApp } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import { listen } from '../fixtures/client.js'
import { runs } from '../fixtures/fc-runs.js'
import { HeldStore } from '../fixtures/held-store.js'
import { anyLife, type Life } from '../fixtures/life-commands.js'
import { LIMITS, LifeModel } from '../fixtures/life-model.js'
import { declareLifeRoute, lifeOptions, World } from '../fixtures/life-world.js'
import { ManualClock } from '../fixtures/manual-clock.js'

const PATIENCE_MS = 30_000

const clock = new ManualClock()
const store = new HeldStore(clock, LIMITS.unusedTickets)
let route: ReturnType<typeof declareLifeRoute> | undefined

attack(
  'C1 C2 C4 C5 C14 E4 E6 G8 in whatever order clients come, talk, are thrown out and leave: each place is counted, and given back once',
  {
    timed: true,
    plugin: lifeOptions(clock, store),
    declare(app) {
      route = declareLifeRoute(app)
    }
  },
  async (t, { app }) => {
    const seen = new Map<string, number>()
    const see = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1)
    await fc.assert(
      fc.asyncProperty(anyLife(60), async (commands) => {
        assert.ok(route)
        const world = await World.start(app, route, clock, store)
        const model = new LifeModel()
        try {
          await fc.asyncModelRun(() => ({ model, real: world }), commands)
        } finally {
          await world.end()
        }
        for (const { status, closeCode } of model.visits) see(status === 101 ? `closed ${closeCode}` : `refused ${status}`)
      }),
      runs(100)
    )
    t.comment(JSON.stringify(Object.fromEntries([...seen].sort())))
  }
)

/** What an app may not leave in the process when it is closed. */
function traces(): Record<string, number> {
  const resources = process.getActiveResourcesInfo().filter((name) => name !== 'Immediate')
  const listeners = process.eventNames().map((name) => [`listener of ${String(name)}`, process.listenerCount(name)] as const)
  const counts = new Map<string, number>(listeners)
  for (const name of resources) counts.set(name, (counts.get(name) ?? 0) + 1)
  return Object.fromEntries([...counts].sort())
}

async function untilTraces(expected: Record<string, number>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (JSON.stringify(traces()) !== JSON.stringify(expected) && performance.now() < deadline) await nextTurn()
  assert.deepEqual(traces(), expected)
}

/** A whole app from start to end, with any life in it. */
async function live(t: Test, commands: Life): Promise<void> {
  const clock = new ManualClock()
  const store = new HeldStore(clock, LIMITS.unusedTickets)
  const app = await buildApp(t, { plugin: lifeOptions(clock, store) })
  const route = declareLifeRoute(app)
  await listen(app)
  const listeners = app.server.eventNames().map((name) => [name, app.server.listenerCount(name)])
  const timers = clock.timers
  const world = await World.start(app, route, clock, store)
  try {
    await fc.asyncModelRun(() => ({ model: new LifeModel(), real: world }), commands)
    await world.end()
    assert.deepEqual(
      app.server.eventNames().map((name) => [name, app.server.listenerCount(name)]),
      listeners
    )
    assert.equal(clock.timers, timers, 'only the timers that were there from the start')
    await world.advance(60_000)
    assert.equal(app.wsTicket.stats().tickets, 0)
  } finally {
    await world.end()
    await app.close()
  }
  assert.equal(clock.timers, 0, 'all timers are stopped')
}

t.test('an app that is closed leaves nothing behind, whatever it went through', async (t) => {
  await live(t, [])
  const before = traces()
  await fc.assert(
    fc.asyncProperty(anyLife(30), async (commands) => {
      await live(t, commands)
      await untilTraces(before)
    }),
    runs(40)
  )
})
