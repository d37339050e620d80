import t from 'tap'
import { keySlot } from '../../src/redis/key-slot.js'
import { needs } from '../fixtures/parts.js'
import { RedisServer } from '../fixtures/redis-server.js'

t.test('slots are those of the specification', async (t) => {
  t.equal(keySlot('123456789'), 0x31c3)
  t.equal(keySlot(''), 0)
  t.equal(keySlot('{user1000}.following'), keySlot('{user1000}.followers'))
  t.equal(keySlot('foo{bar}{zap}'), keySlot('bar'))
  t.equal(keySlot('foo{{bar}}zap'), keySlot('{bar'))
  t.not(keySlot('foo{}{bar}'), keySlot('bar'), 'the first braces count, and are empty')
})

t.test('slots are those that a server says', async (t) => {
  if (!needs(t, 'redis-server')) return
  const server = await RedisServer.start(t, { args: ['--cluster-enabled', 'yes'] })
  const keys = ['a', 'foo{bar}zap', 'foo{}bar', '{}', '}{', 'a}b{c', '{a', 'a}', 'foo{}{bar}', '{a}{b}', 'ä\u{1F600}', 'x'.repeat(1000)]
  for (const key of keys) t.equal(String(keySlot(key)), await server.cli('cluster', 'keyslot', key), key.slice(0, 20))
})
