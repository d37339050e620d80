import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { openCommands, type RedisConnection } from '../../src/redis/client.js'
import { RedisCommands } from '../../src/redis/commands.js'
import { script } from '../../src/redis/script.js'
import { ManualClock } from '../fixtures/manual-clock.js'
import { needs } from '../fixtures/parts.js'
import { openClient } from '../fixtures/redis-clients.js'
import { RedisServer } from '../fixtures/redis-server.js'

const TIMEOUT_MS = 500
const SET = script("return redis.call('SET', KEYS[1], ARGV[1])")

/** Commands to a server of its own, whose deadlines come when the clock is moved. */
async function openServer(t: Test) {
  const server = await RedisServer.start(t)
  const connection = openCommands(openClient(t, server.port))
  connection.on('error', () => {})
  t.teardown(() => connection.disconnect())
  await connection.connect()
  const clock = new ManualClock()
  return { server, connection, clock, commands: new RedisCommands(connection, clock, TIMEOUT_MS) }
}

/** How often the server was sent this command. */
async function countCalls(server: RedisServer, command: string): Promise<number> {
  const stats = await server.cli('info', 'commandstats')
  return Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0)
}

/** Answers once the server has answered all that was sent before. */
async function untilAnswered(connection: RedisConnection): Promise<void> {
  await connection.call('PING', [])
}

if (needs(t, 'redis-server')) {
  t.test('commands and scripts are answered', async (t) => {
    const { commands, connection, clock } = await openServer(t)
    t.equal(commands.timeoutMs, TIMEOUT_MS)
    t.equal(commands.isReady, true)
    t.equal(await commands.call('SET', ['key', 'value']), 'OK')
    t.equal(await commands.callOn(connection, 'GET', ['key']), 'value')
    t.equal(await commands.run(SET, 'key', [7]), 'OK')
    t.equal(await commands.call('GET', ['key']), '7')
    t.equal(clock.timers, 0, 'no timer is left')
  })

  t.test('a script is sent once, and again where the server has forgotten it', async (t) => {
    const { server, commands } = await openServer(t)
    for (let i = 0; i < 3; i++) t.equal(await commands.run(SET, 'key', [i]), 'OK')
    t.equal(await countCalls(server, 'eval'), 1)
    await server.cli('script', 'flush')
    t.equal(await commands.run(SET, 'key', ['again']), 'OK')
    t.equal(await countCalls(server, 'eval'), 2)
    t.equal(await server.cli('get', 'key'), 'again')
  })

  t.test('a command that fails is told without its arguments', async (t) => {
    const { commands, connection, clock } = await openServer(t)
    await commands.call('SET', ['key', 'value'])
    const fails: (() => Promise<unknown>)[] = [
      () => commands.call('HSET', ['key', 'secret', 'secret']),
      () => commands.callOn(connection, 'HSET', ['key', 'secret', 'secret']),
      () => commands.run(script("return redis.call('HSET', KEYS[1], ARGV[1], ARGV[1])"), 'key', ['secret'])
    ]
    for (const fail of fails) {
      const failure = await fail().then(String, (error: unknown) => error)
      t.match(failure, { name: 'RedisFailure', code: 'WRONGTYPE' })
      t.notMatch(inspect(failure, { depth: 9, showHidden: true }), 'secret')
    }
    t.equal(clock.timers, 0)
  })

  t.test('I2 whoever waits is told when the deadline has passed, and late answers are dropped', async (t) => {
    const { server, connection, clock, commands } = await openServer(t)
    server.stop()
    let settled = ''
    const first = commands.call('SET', ['key', 'first'])
    first.then(
      () => (settled += ' answered'),
      ({ code }) => (settled += ` ${code}`)
    )
    clock.advance(TIMEOUT_MS - 100)
    const second = commands.call('SET', ['key', 'second'])
    t.equal(clock.timers, 1, 'one timer for all')
    clock.advance(99)
    await Promise.resolve()
    t.equal(settled, '', 'not before')
    clock.advance(26)
    await t.rejects(first, { code: 'TIMEOUT', message: 'not answered within 500 ms' })
    t.equal(clock.timers, 1, 'another waits still')
    server.continue()
    t.equal(await second, 'OK', 'and is answered')
    await untilAnswered(connection)
    t.equal(settled, ' TIMEOUT', 'only once')
    t.equal(clock.timers, 0)
  })

  t.test('I4 a script that the server turns out not to know after the deadline is not sent', async (t) => {
    const { server, connection, clock, commands } = await openServer(t)
    server.stop()
    const late = t.rejects(commands.run(SET, 'key', ['late']), { code: 'TIMEOUT' })
    // it is on its way
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(TIMEOUT_MS + 25)
    await late
    server.continue()
    for (let i = 0; i < 3; i++) await untilAnswered(connection)
    t.equal(await countCalls(server, 'evalsha'), 1)
    t.equal(await countCalls(server, 'eval'), 0)
    t.equal(await server.cli('exists', 'key'), '0')
  })

  t.test('a server that does not answer is sent no more than a bounded number of commands', async (t) => {
    const { server, connection, clock, commands } = await openServer(t)
    server.stop()
    const asked = Array.from({ length: 20_000 }, () => commands.call('INCR', ['key']).catch(({ code }) => code))
    await t.rejects(commands.call('INCR', ['key']), { code: 'BUSY' })
    clock.advance(TIMEOUT_MS + 25)
    t.same(new Set(await Promise.all(asked)), new Set(['TIMEOUT']))
    await t.rejects(commands.call('INCR', ['key']), { code: 'BUSY' }, 'those that are late count until they are answered')
    server.continue()
    await untilAnswered(connection)
    t.equal(await commands.call('INCR', ['key']), 20_001, 'then all is as before')
  })

  t.test('I1 where there is no server a command fails at once', async (t) => {
    const { server, clock, commands, connection } = await openServer(t)
    server.stop()
    const waiting = t.rejects(commands.call('PING', []), { code: 'UNREACHABLE' })
    const closed = new Promise<void>((resolve) => connection.on('close', resolve))
    await server.kill()
    await waiting
    await closed
    t.equal(commands.isReady, false)
    await t.rejects(commands.call('PING', []), { code: 'UNREACHABLE', message: 'not connected' })
    t.equal(clock.timers, 0)
  })

  t.test('at the end nobody waits any more', async (t) => {
    const { server, clock, commands } = await openServer(t)
    server.stop()
    const waiting = ['one', 'two'].map((key) => t.rejects(commands.run(SET, key, [1]), { code: 'CLOSED' }))
    commands.close()
    await Promise.all(waiting)
    t.equal(clock.timers, 0)
    server.continue()
  })
}

t.test('a client that throws fails that one command', async (t) => {
  const clock = new ManualClock()
  const connection: RedisConnection = {
    status: 'ready',
    call() {
      throw new Error('slots are not known')
    },
    connect: async () => {},
    disconnect() {},
    on() {},
    off() {}
  }
  const commands = new RedisCommands(connection, clock, TIMEOUT_MS)
  await t.rejects(commands.call('PING', []), { name: 'RedisFailure', message: 'slots are not known' })
  await t.rejects(commands.callOn(connection, 'PING', []), { name: 'RedisFailure' })
  await t.rejects(commands.run(SET, 'key', []), { name: 'RedisFailure' })
  t.equal(clock.timers, 0)
})
