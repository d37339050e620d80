import t from 'tap'
import { localBus } from '../../src/publish/bus.js'
import { Hub } from '../../src/publish/hub.js'
import { ManualClock } from '../fixtures/manual-clock.js'

t.test('a disconnect is remembered for a minute, for the user, the connection, or everybody', async (t) => {
  const clock = new ManualClock()
  const hub = new Hub(clock)
  const disconnect = { kind: 'disconnect', route: null, code: 4403, reason: '' } as const
  const before = clock.now()
  t.equal(hub.wasDisconnected('ann', 'one', before), false)
  t.equal(hub.deliver({ ...disconnect, target: { user: 'ann' } }), 0)
  t.equal(hub.deliver({ ...disconnect, target: { connection: 'two' } }), 0)
  t.equal(hub.wasDisconnected('ann', 'one', before), true)
  t.equal(hub.wasDisconnected('bob', 'two', before), true)
  t.equal(hub.wasDisconnected('bob', 'one', before), false)
  t.equal(hub.wasDisconnected('two', 'ann', before), false, 'a user and a connection of one name are two')
  t.equal(hub.wasDisconnected('ann', 'one', before + 1), false, 'who comes later is let in')
  clock.advance(60_000)
  hub.tick(clock.now())
  t.equal(hub.wasDisconnected('ann', 'one', before), true)
  clock.advance(1)
  hub.tick(clock.now())
  t.equal(hub.wasDisconnected('ann', 'two', before), false, 'and forgotten')
  hub.deliver({ ...disconnect, target: { all: true } })
  t.equal(hub.wasDisconnected('bob', 'one', clock.now()), true)
})

t.test('what is for a route that is not here reaches nobody', async (t) => {
  const hub = new Hub(new ManualClock())
  const bus = localBus((message) => hub.deliver(message))
  const frame = Buffer.from('{}')
  t.equal(hub.has('/nowhere'), false)
  t.equal(bus.post({ kind: 'publish', route: '/nowhere', topic: 'all', frame }), 0)
  t.equal(bus.post({ kind: 'send', route: '/nowhere', target: { all: true }, frame }), 0)
  await bus.close()
})
