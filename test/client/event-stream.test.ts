import t from 'tap'
import { streamEvents } from '../../src/client/event-stream.js'

t.test('whoever reads too slowly gets what was kept and then an error', async (t) => {
  let push = (_value: number): void => {}
  let undone = 0
  const stream = streamEvents<number>((pushOne) => {
    push = pushOne
    return () => undone++
  })
  for (let value = 0; value <= 1000; value++) push(value)
  t.equal(undone, 1, 'and nothing more is kept')
  const seen: number[] = []
  const reading = (async () => {
    for await (const value of stream) seen.push(value)
  })()
  await t.rejects(reading, { code: 'QUEUE_FULL' })
  t.equal(seen.length, 1000)
})

t.test('what comes while others are read is read too', async (t) => {
  let push = (_value: number): void => {}
  let end = (): void => {}
  const stream = streamEvents<number>((pushOne, endAll) => {
    push = pushOne
    end = endAll
    return () => {}
  })
  push(1)
  push(2)
  const seen: number[] = []
  for await (const value of stream) {
    seen.push(value)
    if (value === 1) push(3)
    if (value === 3) {
      push(4)
      end()
    }
  }
  t.same(seen, [1, 2, 3, 4])
})
