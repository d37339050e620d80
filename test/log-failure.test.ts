import Fastify from 'fastify'
import t from 'tap'
import { logFailure } from '../src/log-failure.js'
import { RedisFailure } from '../src/redis/failure.js'
import { captureLog } from './fixtures/log.js'

t.test('whatever was thrown makes a line, and nothing is thrown', async (t) => {
  const { logger, lines } = captureLog()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  const thrown = [new Error('usual'), Object.freeze(new Error('frozen')), Object.freeze({ message: 'no error' }), 'a text', undefined]
  for (const error of thrown) logFailure(app.log, error, 'it failed', { type: 'echo' })
  t.match(lines, [
    { level: 50, msg: 'it failed', type: 'echo', err: { message: 'usual' } },
    { msg: 'it failed', type: 'echo', thrown: /frozen/ },
    { msg: 'it failed', thrown: /no error/ },
    { msg: 'it failed', err: 'a text' },
    { msg: 'it failed' }
  ])
  t.equal(lines.length, thrown.length)
  const unreadable = Object.defineProperty(new Error('x'), 'stack', {
    get: () => {
      throw new Error('y')
    }
  })
  logFailure(app.log, unreadable, 'it failed')
  // newer releases of Node read it all the same
  t.match(lines.at(-1), { msg: 'it failed', thrown: /can not be read|Error: x/ })
  logFailure(app.log, Object.freeze(Object.assign(new Error('long'), { message: 'x'.repeat(10_000) })), 'it failed')
  t.equal(String(lines.at(-1)?.thrown).length, 1000)
})

t.test('what went wrong with Redis is one line without a stack', async (t) => {
  const { logger, lines } = captureLog()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  t.equal(logFailure(app.log, new RedisFailure('TIMEOUT', 'not answered within 500 ms'), 'the ticket store failed', { type: 'echo' }), true)
  t.match(lines, [{ level: 40, msg: 'the ticket store failed', type: 'echo', code: 'TIMEOUT', reason: 'not answered within 500 ms' }])
  t.notOk(JSON.stringify(lines).includes('stack'))
})
