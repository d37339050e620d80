import type { Test } from 'tap'
import { AnyMessage } from '../fixtures/any-message.js'
import { attack } from '../fixtures/attack.js'
import { manyMessages } from '../fixtures/counted-echo.js'
import { messageFrame, openRaw, type RawClient } from '../fixtures/frames.js'

const path = '/any'

async function isRefusedAt(t: Test, raw: RawClient, payload: string, at: string): Promise<void> {
  raw.write(messageFrame(`{"type":"strict","id":1,"payload":${payload}}`))
  const answer = await raw.next()
  const code = 'FST_WS_TICKET_INVALID_PAYLOAD'
  t.match(answer, { type: '$error', id: 1, payload: { code, statusCode: 400, errors: Array } }, payload)
  t.match(JSON.stringify(answer), `"path":"${at}`, `${payload} is objected to at ${at}`)
}

const extra = new AnyMessage()
attack(
  'G5 an extra property is refused wherever it stands, and not stripped',
  { declare: (app) => extra.declare(app, manyMessages) },
  async (t, { app }) => {
    const raw = await openRaw(t, app, { path })
    const payloads: [string, string][] = [
      ['{"extra":1}', '/extra'],
      ['{"n":1,"N":1}', '/N'],
      ['{"n":1,"toString":1}', '/toString'],
      ['{"":1}', '/'],
      ['{"inner":{"extra":1}}', '/inner/extra'],
      ['{"inner":{"n":1,"extra":{}}}', '/inner/extra'],
      ['{"items":[{},{"extra":1}]}', '/items/1/extra'],
      ['{"either":{"a":1,"b":2}}', '/either'],
      ['{"either":{"a":1,"extra":2}}', '/either'],
      ['{"both":{"a":1,"b":2,"extra":3}}', '/both'],
      ['{"record":{"a":1,"B":2}}', '/record/B'],
      ['{"constructor":1}', '/constructor']
    ]
    for (const [payload, at] of payloads) await isRefusedAt(t, raw, payload, at)
    t.same(extra.handled, [], 'none is handled')
    raw.write(messageFrame('{"type":"strict","id":2,"payload":{"n":1,"inner":{"n":2},"either":{"a":1},"both":{"a":1,"b":2}}}'))
    t.match(await raw.next(), { type: '$reply', id: 2 })
    t.same(
      extra.handled,
      [{ n: 1, inner: { n: 2 }, either: { a: 1 }, both: { a: 1, b: 2 } }],
      'what the schema names is handled as it came'
    )
  }
)

const coerced = new AnyMessage()
attack(
  'G6 a value of another type is refused, and not coerced',
  { declare: (app) => coerced.declare(app, manyMessages) },
  async (t, { app }) => {
    const raw = await openRaw(t, app, { path })
    const payloads: [string, string][] = [
      ...['"1"', '""', 'true', 'null', '[1]', '{}', '1e400'].map((value): [string, string] => [`{"n":${value}}`, '/n']),
      ...['"1"', '1.5', 'true', 'null', '1e400'].map((value): [string, string] => [`{"int":${value}}`, '/int']),
      ...['"true"', '1', '0', '""', 'null'].map((value): [string, string] => [`{"flag":${value}}`, '/flag']),
      ...['1', 'true', 'null', '["a"]', '{}'].map((value): [string, string] => [`{"text":${value}}`, '/text']),
      ...['""', '0', 'false', '"null"'].map((value): [string, string] => [`{"none":${value}}`, '/none']),
      ...['1', '"1"', '{"0":1}', '{}'].map((value): [string, string] => [`{"list":${value}}`, '/list']),
      ['{"list":[1,"2"]}', '/list/1'],
      ['{"inner":"{}"}', '/inner'],
      ['{"inner":[]}', '/inner'],
      ['{"inner":null}', '/inner'],
      ['{"record":{"a":"1"}}', '/record/a'],
      ['"{}"', ''],
      ['[]', ''],
      ['null', ''],
      ['1', '']
    ]
    for (const [payload, at] of payloads) await isRefusedAt(t, raw, payload, at)
    t.same(coerced.handled, [], 'none is handled')
  }
)
