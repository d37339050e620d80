import t from 'tap'
import { script } from '../../src/redis/script.js'
import { needs } from '../fixtures/parts.js'
import { RedisServer } from '../fixtures/redis-server.js'

if (needs(t, 'redis-server')) {
  t.test('a script is known by the SHA-1 that the server knows it by', async (t) => {
    const server = await RedisServer.start(t)
    for (const source of ["return 'one'", "return redis.call('GET', KEYS[1])", "return 'ä\u{1F600}'"]) {
      t.equal(await server.cli('script', 'load', source), script(source).sha)
      t.equal(script(source).source, source)
    }
  })
}
