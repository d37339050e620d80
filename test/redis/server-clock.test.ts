import t from 'tap'
import { script } from '../../src/redis/script.js'
import { SERVER_NOW, ServerClock } from '../../src/redis/server-clock.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { needs } from '../fixtures/parts.js'
import { openClient } from '../fixtures/redis-clients.js'
import { openLink } from '../fixtures/redis-links.js'
import { RedisServer } from '../fixtures/redis-server.js'

t.test('the time of a server goes on with our own', async (t) => {
  const clock = new ManualClock()
  const server = new ServerClock(clock)
  t.equal(server.in(500), 0, 'nothing was heard of it yet')
  server.heard(1_700_000_000_000)
  t.equal(server.in(0), 1_700_000_000_000)
  clock.advance(250)
  t.equal(server.in(500), 1_700_000_000_750)
  server.heard(1_600_000_000_000)
  t.equal(server.in(0), 1_600_000_000_000, 'what was heard last holds')
})

if (needs(t, 'redis-server')) {
  t.test('a script knows the time in milliseconds, with a fraction', async (t) => {
    const { port } = await RedisServer.start(t)
    const { commands } = await openLink(t, openClient(t, port))
    const before = Date.now()
    const told = Number(await commands.run(script(`${SERVER_NOW} return now`), 'key', []))
    t.ok(Number.isInteger(told) && told >= before && told <= Date.now(), `${told} is now`)
    const texts: unknown[] = []
    for (let i = 0; i < 20; i++) texts.push(await commands.run(script(`${SERVER_NOW} return string.format('%.3f', now % 1)`), 'key', []))
    t.ok(texts.some((text) => text !== '0.000'))
  })
}
