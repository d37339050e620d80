import t from 'tap'
import { fail } from '../../src/errors.js'
import { outcomeOf } from '../../src/metrics/outcome.js'

t.test('a refusal of ours is its code; one of the app is its status, whatever it calls itself', async (t) => {
  t.equal(outcomeOf(fail('FORBIDDEN')), 'FST_WS_TICKET_FORBIDDEN')
  t.equal(outcomeOf(Object.assign(new Error('no'), { statusCode: 402, code: 'PAYMENT 4711 MISSING' })), 'HTTP_402')
  t.equal(outcomeOf(Object.assign(new Error('no'), { statusCode: 404 })), 'HTTP_404')
  const posing = Object.assign(new Error('no'), { statusCode: 404, code: 'FST_WS_TICKET_4711' })
  t.equal(outcomeOf(posing), 'HTTP_404', 'and what only looks like a code of ours')
  for (const thrown of [
    new Error('no'),
    undefined,
    null,
    'text',
    { statusCode: '403' },
    { statusCode: 200 },
    { statusCode: 404.5 },
    { code: 7 },
    { code: 7, statusCode: 10n },
    new Proxy({}, { get: () => 1n }),
    Object.defineProperty({}, 'code', {
      get: () => {
        throw new Error('no')
      }
    })
  ]) {
    t.equal(outcomeOf(thrown), 'HTTP_500')
  }
})
