import t from 'tap'
import { hashText, RedisKeys } from '../../src/redis/keys.js'

t.test('all keys are under one prefix', async (t) => {
  const keys = new RedisKeys('app')
  t.equal(keys.of('ticket', 'abc'), 'app:ticket:abc')
  t.equal(keys.of('trial'), 'app:trial')
})

t.test('a pattern takes the prefix as it is', async (t) => {
  t.equal(new RedisKeys('app').matching('unused'), 'app:unused:*')
  t.equal(new RedisKeys('a*?[b]^c\\').matching('unused'), 'a\\*\\?\\[b\\]\\^c\\\\:unused:*')
})

t.test('what stands for a text is 43 base64url characters, and another for each', async (t) => {
  const texts = [
    [''],
    [],
    ['', ''],
    ['a'],
    ['b'],
    ['a', 'b'],
    ['ab'],
    ['a,b'],
    ['a","b'],
    ['b', 'a'],
    ['*'],
    ['{a}'],
    ['\u0000'],
    ['\uD800'],
    ['\uDC00']
  ]
  const hashes = texts.map((parts) => hashText(...parts))
  for (const hash of hashes) t.match(hash, /^[A-Za-z0-9_-]{43}$/)
  t.equal(new Set(hashes).size, texts.length)
  t.equal(hashText('a', 'b'), hashText('a', 'b'), 'the same each time')
})
