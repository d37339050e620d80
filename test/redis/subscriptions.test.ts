import t, { type Test } from 'tap'
import { openSubscriber, type RedisConnection } from '../../src/redis/client.js'
import type { RedisFailure } from '../../src/redis/failure.js'
import { CLASSIC, Subscriptions } from '../../src/redis/subscriptions.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { needs } from '../fixtures/parts.js'
import { CLIENT_NAMES, type ClientName, openClient } from '../fixtures/redis-clients.js'
import { RedisServer } from '../fixtures/redis-server.js'
import { until } from '../fixtures/until.js'

const TIMEOUT_MS = 500

/** Subscriptions on a connection of their own, with all that they have told. */
class Watched {
  readonly clock = new ManualClock()
  readonly received: string[] = []
  readonly confirmed: string[] = []
  readonly troubles: (RedisFailure | undefined)[] = []
  readonly connection: RedisConnection
  readonly subscriptions: Subscriptions
  readies = 0

  constructor(t: Test, port: number, name?: ClientName) {
    this.connection = openSubscriber(openClient(t, port, name))
    this.connection.on('error', () => {})
    this.connection.on('ready', () => this.readies++)
    t.teardown(() => this.connection.disconnect())
    this.subscriptions = new Subscriptions(this.connection, {
      way: CLASSIC,
      clock: this.clock,
      timeoutMs: TIMEOUT_MS,
      received: (channel, text) => this.received.push(`${channel}: ${text}`),
      confirmed: (channel) => this.confirmed.push(channel),
      troubled: (failure) => this.troubles.push(failure)
    })
  }

  get codes(): (string | undefined)[] {
    return this.troubles.map((failure) => failure?.code)
  }

  async untilConfirmed(...channels: string[]): Promise<void> {
    await until(() => channels.every((channel) => this.subscriptions.isConfirmed(channel)))
  }
}

/** How many subscribers each of the channels has on the server. */
async function countSubscribers(server: RedisServer, ...channels: string[]): Promise<number[]> {
  const lines = (await server.cli('pubsub', 'numsub', ...channels)).split('\n')
  return lines.filter((_, i) => i % 2 === 1).map(Number)
}

function countListeners(connection: RedisConnection, event: string): unknown {
  return Reflect.apply(Reflect.get(connection, 'listenerCount'), connection, [event])
}

if (needs(t, 'redis-server')) {
  for (const name of CLIENT_NAMES) {
    t.test(`what is subscribed to before there is a connection, and after, is received; with ${name}`, async (t) => {
      const server = await RedisServer.start(t)
      const watched = new Watched(t, server.port, name)
      const { subscriptions } = watched
      subscriptions.add('early')
      subscriptions.add('never')
      subscriptions.remove('never')
      t.equal(subscriptions.isConfirmed('early'), false)
      await watched.connection.connect()
      await watched.untilConfirmed('early')
      subscriptions.add('late')
      await watched.untilConfirmed('late')
      t.same(watched.confirmed, ['early', 'late'])
      t.same(await countSubscribers(server, 'early', 'late', 'never'), [1, 1, 0])
      for (const channel of ['early', 'late', 'never']) await server.cli('publish', channel, 'hello')
      await until(() => watched.received.length === 2)
      t.same(watched.received, ['early: hello', 'late: hello'])
      subscriptions.remove('late')
      await until(async () => (await countSubscribers(server, 'late'))[0] === 0)
      subscriptions.remove('early')
      subscriptions.add('late')
      await watched.untilConfirmed('late')
      await subscriptions.check()
      t.same(await countSubscribers(server, 'early', 'late'), [0, 1])
      t.same(watched.troubles, [])
      t.equal(watched.readies, 1)
      t.equal(watched.clock.timers, 0)
    })

    t.test(`all is subscribed to again after the server was away; with ${name}`, async (t) => {
      const server = await RedisServer.start(t)
      const watched = new Watched(t, server.port, name)
      await watched.connection.connect()
      const channels = Array.from({ length: 1200 }, (_, i) => `channel ${i}`)
      for (const channel of channels) watched.subscriptions.add(channel)
      await watched.untilConfirmed(...channels)
      await server.kill()
      await until(() => !watched.subscriptions.isConfirmed('channel 0'))
      watched.subscriptions.remove('channel 7')
      watched.subscriptions.add('new')
      await watched.subscriptions.check()
      await server.startAgain()
      await watched.untilConfirmed(...channels.filter((channel) => channel !== 'channel 7'), 'new')
      t.same(await countSubscribers(server, 'channel 0', 'channel 7', 'channel 1199', 'new'), [1, 0, 1, 1])
      await server.cli('publish', 'channel 1199', 'again')
      await until(() => watched.received.length > 0)
      t.same(watched.received, ['channel 1199: again'])
      t.equal(watched.clock.timers, 0)
    })
  }

  t.test('what a server has forgotten is found by a check, and mended', async (t) => {
    const server = await RedisServer.start(t)
    const watched = new Watched(t, server.port)
    await watched.connection.connect()
    await watched.subscriptions.check()
    for (const channel of ['one', 'two', 'three']) watched.subscriptions.add(channel)
    await watched.untilConfirmed('one', 'two', 'three')
    await watched.subscriptions.check()
    t.same(watched.troubles, [])
    await watched.connection.call('unsubscribe', ['two', 'three'])
    t.same(await countSubscribers(server, 'one', 'two', 'three'), [1, 0, 0])
    await watched.subscriptions.check()
    t.same(await countSubscribers(server, 'one', 'two', 'three'), [1, 1, 1])
    t.same(watched.troubles, [undefined])
    t.equal(watched.readies, 1, 'on the same connection')
    t.same(watched.confirmed, ['one', 'two', 'three'])
  })

  t.test('what a server should have forgotten is found by a check, and mended by another connection', async (t) => {
    const server = await RedisServer.start(t)
    const watched = new Watched(t, server.port)
    await watched.connection.connect()
    watched.subscriptions.add('one')
    await watched.untilConfirmed('one')
    await watched.connection.call('subscribe', ['stray'])
    await server.cli('publish', 'stray', 'unheard')
    await watched.subscriptions.check()
    await until(() => watched.readies === 2)
    await watched.untilConfirmed('one')
    t.same(await countSubscribers(server, 'one', 'stray'), [1, 0])
    t.same(watched.received, [])
  })

  for (const name of CLIENT_NAMES) {
    t.test(`I2 a peer that does not answer two checks in a row is given up; with ${name}`, async (t) => {
      const server = await RedisServer.start(t)
      const watched = new Watched(t, server.port, name)
      await watched.connection.connect()
      watched.subscriptions.add('one')
      await watched.untilConfirmed('one')
      const failCheck = async () => {
        const checked = watched.subscriptions.check()
        watched.clock.advance(TIMEOUT_MS)
        await checked
      }
      server.stop()
      await failCheck()
      t.same(watched.codes, ['TIMEOUT'])
      t.equal(watched.subscriptions.isConfirmed('one'), true, 'it may have been a moment only')
      server.continue()
      await watched.subscriptions.check()
      server.stop()
      await failCheck()
      t.equal(watched.readies, 1)
      await failCheck()
      server.continue()
      await until(() => watched.readies === 2)
      await watched.untilConfirmed('one')
      t.same(await countSubscribers(server, 'one'), [1])
    })
  }

  t.test('a subscription that is refused is told, and made once it is allowed', async (t) => {
    const server = await RedisServer.start(t)
    await server.cli('acl', 'setuser', 'default', 'resetchannels')
    const watched = new Watched(t, server.port)
    await watched.connection.connect()
    watched.subscriptions.add('one')
    await until(() => watched.troubles.length > 0)
    t.same(watched.codes, ['NOPERM'])
    await watched.subscriptions.check()
    t.same(watched.codes, ['NOPERM', 'NOPERM'])
    t.equal(watched.subscriptions.isConfirmed('one'), false)
    await server.cli('acl', 'setuser', 'default', 'allchannels')
    await watched.subscriptions.check()
    t.equal(watched.subscriptions.isConfirmed('one'), true)
  })

  t.test('a connection that tells of a fault, or that its server has lost a slot, is trouble', async (t) => {
    const watched = new Watched(t, 1)
    for (const event of ['error', 'moved'])
      Reflect.apply(Reflect.get(watched.connection, 'emit'), watched.connection, [event, new Error('a fault')])
    t.same(watched.troubles, [undefined, undefined])
  })

  t.test('closed, it listens no longer and lets nobody wait', async (t) => {
    const server = await RedisServer.start(t)
    const watched = new Watched(t, server.port)
    const { connection, subscriptions } = watched
    await connection.connect()
    subscriptions.add('one')
    await watched.untilConfirmed('one')
    server.stop()
    const checked = subscriptions.check()
    subscriptions.close()
    await checked
    server.continue()
    await server.cli('publish', 'one', 'unheard')
    await connection.call('ping', [])
    t.same(watched.received, [])
    t.same(watched.troubles, [])
    t.equal(watched.clock.timers, 0)
    t.equal(connection.status, 'ready', 'the connection is left to its owner')
    const untouched = openSubscriber(openClient(t, server.port))
    for (const event of ['close', 'moved', 'message']) t.equal(countListeners(connection, event), countListeners(untouched, event), event)
  })
}
