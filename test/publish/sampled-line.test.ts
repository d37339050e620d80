import t from 'tap'
import { SampledLine } from '../../src/publish/sampled-line.js'
import { ManualClock } from '../fixtures/manual-clock.js'

t.test('the first time is told at once, later ones once a minute', async (t) => {
  const clock = new ManualClock()
  const written: [number, string][] = []
  const line = new SampledLine(clock, (count, reason) => written.push([count, reason]))
  line.tick(clock.now())
  t.same(written, [])
  line.add('first')
  t.same(written.splice(0), [[1, 'first']])
  for (let i = 0; i < 100; i++) line.add(`${i}`)
  clock.advance(59_999)
  line.tick(clock.now())
  t.same(written, [])
  clock.advance(1)
  line.tick(clock.now())
  t.same(written.splice(0), [[100, '99']])
  clock.advance(59_999)
  line.add('too soon')
  t.same(written, [])
  clock.advance(1)
  line.add('in time')
  t.same(written.splice(0), [[2, 'in time']])
  clock.advance(600_000)
  line.tick(clock.now())
  t.same(written, [], 'nothing has happened')
})
