import t from 'tap'
import { systemClock } from '../src/clock.js'

t.test('H9 limits and expiry go by a clock that nobody sets, and what is told by the one on the wall', async (t) => {
  const start = { now: systemClock.now(), wall: systemClock.wall() }
  t.ok(systemClock.now() >= start.now)
  t.ok(start.now < start.wall, 'they are two')
  t.ok(Math.abs(start.wall - Date.now()) < 60_000)
})

t.test('a task runs again and again until it is stopped', async (t) => {
  let runs = 0
  // the clock's own timers keep no process alive
  const alive = setInterval(() => {}, 1000)
  await new Promise<void>((resolve) => {
    const stop = systemClock.every(1, () => {
      runs++
      if (runs < 3) return
      stop()
      resolve()
    })
  })
  await new Promise<void>((resolve) => {
    const stop = systemClock.every(5, () => {
      stop()
      resolve()
    })
  })
  clearInterval(alive)
  t.equal(runs, 3)
})
