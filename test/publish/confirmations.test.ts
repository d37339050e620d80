import t from 'tap'
import { Confirmations } from '../../src/publish/confirmations.js'
import { ManualClock } from '../fixtures/manual-clock.js'

const TIMEOUT_MS = 500

/** What has resolved so far. */
function watch(promises: Record<string, Promise<void>>): string[] {
  const resolved: string[] = []
  for (const [name, promise] of Object.entries(promises)) void promise.then(() => resolved.push(name))
  return resolved
}

/** Lets what is resolved run. */
const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

t.test('who waits is told when it is confirmed, and only then', async (t) => {
  const clock = new ManualClock()
  const confirmations = new Confirmations(clock, TIMEOUT_MS)
  const resolved = watch({ one: confirmations.wait('one'), again: confirmations.wait('one'), two: confirmations.wait('two') })
  t.equal(confirmations.wait('one'), confirmations.wait('one'))
  confirmations.confirm('three')
  await nextTurn()
  t.same(resolved, [])
  confirmations.confirm('one')
  await nextTurn()
  t.same(resolved, ['one', 'again'])
  t.equal(clock.timers, 1, 'one timer for all')
  confirmations.confirm('two')
  await nextTurn()
  t.same(resolved, ['one', 'again', 'two'])
  t.equal(clock.timers, 0)
})

t.test('who waits for too long waits no longer', async (t) => {
  const clock = new ManualClock()
  const confirmations = new Confirmations(clock, TIMEOUT_MS)
  const first = watch({ one: confirmations.wait('one') })
  clock.advance(100)
  const second = watch({ one: confirmations.wait('one'), two: confirmations.wait('two') })
  clock.advance(399)
  await nextTurn()
  t.same([...first, ...second], [])
  clock.advance(1)
  await nextTurn()
  t.same([first, second], [['one'], ['one']])
  const third = watch({ one: confirmations.wait('one') })
  clock.advance(100)
  await nextTurn()
  t.same([second, third], [['one', 'two'], []])
  clock.advance(400)
  await nextTurn()
  t.same(third, ['one'])
  t.equal(clock.timers, 0)
})

t.test('closed, it lets nobody wait', async (t) => {
  const clock = new ManualClock()
  const confirmations = new Confirmations(clock, TIMEOUT_MS)
  const resolved = watch({ one: confirmations.wait('one'), two: confirmations.wait('two') })
  confirmations.close()
  await nextTurn()
  t.same(resolved, ['one', 'two'])
  t.equal(clock.timers, 0)
})
