import { inspect } from 'node:util'
import t from 'tap'
import { failureOf, RedisFailure } from '../../src/redis/failure.js'

const CODES: Record<string, string> = {
  'WRONGTYPE Operation against a key holding the wrong kind of value': 'WRONGTYPE',
  "READONLY You can't write against a read only replica.": 'READONLY',
  "OOM command not allowed when used memory > 'maxmemory'.": 'OOM',
  'LOADING Redis is loading the dataset in memory': 'LOADING',
  'NOREPLICAS Not enough good replicas to write.': 'NOREPLICAS',
  'ERR syntax error': 'ERR',
  'connect ECONNREFUSED 127.0.0.1:6379': 'UNREACHABLE',
  'Connection is closed.': 'UNREACHABLE',
  "Stream isn't writeable and enableOfflineQueue options is false": 'UNREACHABLE',
  OOM: 'UNREACHABLE'
}

t.test('a failure is called by the first word of what the server said', async (t) => {
  for (const [message, code] of Object.entries(CODES)) {
    t.match(failureOf(new Error(message)), { name: 'RedisFailure', code, message })
  }
  const failure = new RedisFailure('TIMEOUT', 'not answered')
  t.equal(failureOf(failure), failure, 'one that is told already stays')
})

t.test('it holds nothing of the command that failed', async (t) => {
  const command = { name: 'auth', args: ['secret'] }
  const failure = failureOf(Object.assign(new Error('WRONGPASS invalid username-password pair'), { command, previousErrors: ['secret'] }))
  t.notMatch(inspect(failure, { depth: 9, showHidden: true }), 'secret')
  const unknown = failureOf(new Error("ERR unknown command 'FOO', with args beginning with: 'secret' "))
  t.equal(unknown.message, "ERR unknown command 'FOO'")
  t.equal(failureOf(new Error('x'.repeat(10_000))).message.length, 200)
})

t.test('a Cluster tells why its last node failed', async (t) => {
  const all = new Error('Failed to refresh slots cache.')
  t.match(failureOf(Object.assign(all, { lastNodeError: new Error('NOAUTH Authentication required.') })), { code: 'NOAUTH' })
})

t.test('what is no error, or says nothing, is a failure too', async (t) => {
  for (const thrown of [undefined, null, 'secret', 7, {}, new Error(''), new AggregateError([new Error('ECONNREFUSED')])]) {
    t.match(failureOf(thrown), { code: 'UNREACHABLE', message: 'failed without a message' })
  }
})
