import t from 'tap'
import { type CallOutcomes, Pipeline, type Runnable } from '../../src/message/pipeline.js'

/** A call whose end the test decides. */
class Call implements Runnable {
  readonly name: string
  readonly #result: Promise<unknown>
  isStarted = false
  succeed: (value?: unknown) => void = () => {}
  fail: (error: unknown) => void = () => {}

  constructor(name: string) {
    this.name = name
    this.#result = new Promise((resolve, reject) => {
      this.succeed = resolve
      this.fail = reject
    })
  }

  run(): unknown {
    this.isStarted = true
    return this.#result
  }
}

/** A call that is over as soon as it starts. */
function immediate(name: string, run: () => unknown): Call {
  return Object.assign(new Call(name), { run })
}

function record(): { log: string[]; outcomes: CallOutcomes<Call> } {
  const log: string[] = []
  return {
    log,
    outcomes: {
      mayBegin: ({ name }) => !name.startsWith('late'),
      succeeded: ({ name }, result) => log.push(`${name} succeeded ${String(result)}`),
      failed: ({ name }, error) => log.push(`${name} failed ${String(error)}`),
      timedOut: ({ name }) => log.push(`${name} timed out`)
    }
  }
}

const settings = { inFlight: 1, maxQueued: 2, handlerTimeoutMs: 1000 }
const turn = () => new Promise((resolve) => setImmediate(resolve))

t.test('G10 a call that returns, throws, fulfils or rejects has one outcome each', async (t) => {
  const { log, outcomes } = record()
  const pipeline = new Pipeline<Call>(settings, outcomes, () => 0)
  const raise = () => {
    throw 'thrown'
  }
  const calls = [
    immediate('a', () => 1),
    immediate('b', raise),
    immediate('c', async () => 2),
    immediate('d', () => Promise.reject('rejected')),
    // biome-ignore lint/suspicious/noThenProperty: a promise of another library
    immediate('e', () => ({ then: (resolve: (value: number) => void) => resolve(3) })),
    // biome-ignore lint/suspicious/noThenProperty: not a promise
    immediate('f', () => ({ then: 'later', toString: () => 'plain' })),
    immediate('g', () => null)
  ]
  for (const call of calls) {
    t.ok(pipeline.accept(call, 0))
    await turn()
  }
  t.same(log, [
    'a succeeded 1',
    'b failed thrown',
    'c succeeded 2',
    'd failed rejected',
    'e succeeded 3',
    'f succeeded plain',
    'g succeeded null'
  ])
  t.ok(pipeline.isIdle)
})

t.test('with one in flight, calls run strictly in order', async (t) => {
  const { log, outcomes } = record()
  const pipeline = new Pipeline<Call>(settings, outcomes, () => 0)
  const [a, b, c] = [new Call('a'), new Call('b'), new Call('c')]
  for (const call of [a, b, c]) t.ok(pipeline.accept(call, 0))
  t.same([a.isStarted, b.isStarted, c.isStarted], [true, false, false])
  b.succeed()
  await turn()
  t.same(log, [])
  a.fail('x')
  await turn()
  t.same(log, ['a failed x', 'b succeeded undefined'])
  t.ok(c.isStarted)
  c.succeed()
  await turn()
  t.ok(pipeline.isIdle)
})

t.test('H8 the queue is bounded and a freed place is used', async (t) => {
  const { outcomes } = record()
  const pipeline = new Pipeline<Call>(settings, outcomes, () => 0)
  const [a, b, c, d] = [new Call('a'), new Call('b'), new Call('c'), new Call('d')]
  t.same(
    [a, b, c, d].map((call) => pipeline.accept(call, 0)),
    [true, true, true, false]
  )
  a.succeed()
  await turn()
  t.notOk(d.isStarted)
  t.ok(pipeline.accept(d, 0))
})

t.test('H8 without a queue, whatever does not run at once is refused', async (t) => {
  const pipeline = new Pipeline<Call>({ ...settings, maxQueued: 0 }, record().outcomes, () => 0)
  t.same(
    [new Call('a'), new Call('b')].map((call) => pipeline.accept(call, 0)),
    [true, false]
  )
})

t.test('with four in flight, four run at a time and answer as they finish', async (t) => {
  const { log, outcomes } = record()
  const pipeline = new Pipeline<Call>({ ...settings, inFlight: 4 }, outcomes, () => 0)
  const calls = ['a', 'b', 'c', 'd', 'e'].map((name) => new Call(name))
  for (const call of calls) pipeline.accept(call, 0)
  t.same(
    calls.map(({ isStarted }) => isStarted),
    [true, true, true, true, false]
  )
  calls[2]?.succeed()
  await turn()
  t.ok(calls[4]?.isStarted)
  calls[0]?.succeed()
  await turn()
  t.same(log, ['c succeeded undefined', 'a succeeded undefined'])
})

t.test('G10 a call that never settles is given up, once, and its slot is freed', async (t) => {
  const { log, outcomes } = record()
  let now = 0
  const pipeline = new Pipeline<Call>(settings, outcomes, () => now)
  const [a, b] = [new Call('a'), new Call('b')]
  pipeline.accept(a, 0)
  pipeline.accept(b, 0)
  pipeline.expire(999)
  t.same(log, [])
  now = 1000
  pipeline.expire(now)
  t.same(log, ['a timed out'])
  t.ok(b.isStarted)
  a.succeed('too late')
  await turn()
  pipeline.expire(1999)
  t.same(log, ['a timed out'], 'what it answers later is dropped, and the time of the next counts from its start')
  pipeline.expire(2000)
  t.same(log, ['a timed out', 'b timed out'])
  b.fail('too late')
  await turn()
  t.equal(log.length, 2)
  t.ok(pipeline.isIdle)
})

t.test('G8 what is cleared never starts; what runs goes on', async (t) => {
  const { log, outcomes } = record()
  const pipeline = new Pipeline<Call>(settings, outcomes, () => 0)
  const [a, b] = [new Call('a'), new Call('b')]
  pipeline.accept(a, 0)
  pipeline.accept(b, 0)
  pipeline.clear()
  a.succeed(1)
  await turn()
  t.same(log, ['a succeeded 1'])
  t.notOk(b.isStarted)
})

t.test('waiting calls that are over at once are all run, without recursion', async (t) => {
  const { log, outcomes } = record()
  const pipeline = new Pipeline<Call>({ ...settings, maxQueued: 1000 }, outcomes, () => 0)
  const first = new Call('first')
  pipeline.accept(first, 0)
  for (let i = 0; i < 1000; i++)
    pipeline.accept(
      immediate(`${i}`, () => i),
      0
    )
  first.succeed()
  await turn()
  t.equal(log.length, 1001)
  t.equal(log.at(-1), '999 succeeded 999')
})

t.test('what has waited too long to begin does not, and holds up nobody', async (t) => {
  const { log, outcomes } = record()
  const pipeline = new Pipeline<Call>(settings, outcomes, () => 0)
  const [a, late, b] = [new Call('a'), new Call('late'), new Call('b')]
  for (const call of [a, late, b]) t.ok(pipeline.accept(call, 0))
  a.succeed()
  await turn()
  t.notOk(late.isStarted)
  t.ok(b.isStarted)
  t.same(log, ['a succeeded undefined'])
})

t.test('G10 a promise that throws where it should reject is a failure', async (t) => {
  const { log, outcomes } = record()
  const pipeline = new Pipeline<Call>(settings, outcomes, () => 0)
  const then = () => {
    throw new Error('broken')
  }
  t.ok(
    pipeline.accept(
      immediate('a', () => ({ then })),
      0
    )
  )
  await turn()
  t.same(log, ['a failed Error: broken'])
  t.ok(pipeline.isIdle)
})
