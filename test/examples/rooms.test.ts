import Fastify from 'fastify'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { RedisRooms } from '../../examples/chat/redis-rooms.js'
import { LocalRooms, type Rooms } from '../../examples/chat/rooms.js'
import { RedisServer } from '../fixtures/redis-server.js'

const phone = { id: 'c1', userId: 'ann' }
const laptop = { id: 'c2', userId: 'ann' }
const bob = { id: 'c3', userId: 'bob' }

const server = await RedisServer.start(t)

function redisRooms(t: Test): RedisRooms {
  const redis = new Redis({ host: '127.0.0.1', port: server.port, maxRetriesPerRequest: 1, commandTimeout: 500 })
  redis.on('error', () => {})
  const rooms = new RedisRooms(redis, Fastify().log)
  t.teardown(async () => {
    await rooms.close()
    redis.disconnect()
  })
  return rooms
}

const kinds: [name: string, create: (t: Test) => Promise<Rooms>][] = [
  ['of one process', async () => new LocalRooms()],
  [
    'of several processes',
    async (t) => {
      await server.cli('flushall')
      return redisRooms(t)
    }
  ]
]

for (const [name, create] of kinds) {
  t.test(`rooms ${name}`, async (t) => {
    await t.test('names are told once each, sorted', async (t) => {
      const rooms = await create(t)
      for (const member of [bob, phone, laptop, laptop]) await rooms.join('tea', member)
      t.strictSame(await rooms.namesIn('tea'), ['ann', 'bob'])
      t.strictSame(await rooms.namesIn('coffee'), [])
    })

    await t.test('connections are members, each for itself', async (t) => {
      const rooms = await create(t)
      await rooms.join('tea', phone)
      t.ok(rooms.has('tea', phone))
      t.notOk(rooms.has('tea', laptop))
      await rooms.join('tea', laptop)
      await rooms.leaveAll(phone)
      t.strictSame(await rooms.namesIn('tea'), ['ann'])
      await rooms.leaveAll(laptop)
      t.strictSame(await rooms.namesIn('tea'), [])
    })

    await t.test('leaving one room leaves the others, and leaving twice does no harm', async (t) => {
      const rooms = await create(t)
      await rooms.join('tea', phone)
      await rooms.join('coffee', phone)
      await rooms.leave('tea', phone)
      await rooms.leave('tea', phone)
      await rooms.leave('tea', bob)
      t.strictSame(rooms.roomsOf(phone), ['coffee'])
      await rooms.leaveAll(phone)
      await rooms.leaveAll(phone)
      t.strictSame(rooms.roomsOf(phone), [])
    })
  })
}

t.test('each process knows who is in the rooms of the others, until they leave or end', async (t) => {
  const [here, there] = [redisRooms(t), redisRooms(t)]
  await here.join('tea', phone)
  await there.join('tea', laptop)
  await there.join('tea', bob)
  t.strictSame(await here.namesIn('tea'), ['ann', 'bob'])
  await here.leave('tea', phone)
  t.strictSame(await here.namesIn('tea'), ['ann', 'bob'], 'ann is there with the other one')
  await there.close()
  t.strictSame(await here.namesIn('tea'), [])
})

t.test('while Redis is away a process knows of its own', async (t) => {
  const [here, there] = [redisRooms(t), redisRooms(t)]
  await here.join('tea', phone)
  await there.join('tea', bob)
  await server.kill()
  t.strictSame(await here.namesIn('tea'), ['ann'])
  await here.join('tea', { id: 'c9', userId: 'cid' })
  t.strictSame(await here.namesIn('tea'), ['ann', 'cid'])
  await server.startAgain()
})
