import t from 'tap'
import { parseJson } from '../../src/message/json.js'

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const refusal = { code: 'FST_WS_TICKET_INVALID_JSON', statusCode: 400 }

t.test('JSON of every kind is parsed as it is', async (t) => {
  for (const value of [null, true, 0, -1.5, 'text', [], [1, [2]], {}, { a: { b: [null] } }]) {
    t.same(parseJson(JSON.stringify(value), 4), value)
  }
})

t.test('G1 what is not JSON is refused, and the message does not quote it', async (t) => {
  const texts = ['', ' ', '{', '{"a":1} x', "{'a':1}", '{"a":1,}', '\uFEFF{"a":1}', 'undefined', 'NaN', '{"a":1}{"a":1}', 'secret-text']
  for (const text of texts) {
    t.throws(
      () => parseJson(text, 16),
      { ...refusal, message: 'The frame is not acceptable JSON: it does not parse.' },
      JSON.stringify(text)
    )
  }
})

t.test('G2 JSON is accepted up to the depth that is allowed and refused beyond it', async (t) => {
  t.doesNotThrow(() => parseJson(nested(16), 16))
  t.throws(() => parseJson(nested(17), 16), { ...refusal, message: /nested too deep/ })
  t.throws(() => parseJson('{"a":{"b":{}}}', 2), { ...refusal, message: /nested too deep/ })
  t.doesNotThrow(() => parseJson('{"a":{"b":1}}', 2))
})

t.test('G2 nesting as deep as 64 KiB allow is refused without a stack overflow', async (t) => {
  t.throws(() => parseJson(nested(32_768), 16), refusal)
  t.throws(() => parseJson(nested(500_000), 16), refusal)
})

t.test('G3 keys that reach a prototype are refused at any depth', async (t) => {
  const texts = [
    '{"__proto__":{"polluted":1}}',
    '{"__proto__":null}',
    '{"a":[{"b":{"__proto__":{"polluted":1}}}]}',
    '{"\\u005f_proto__":{"polluted":1}}',
    '{"constructor":{"prototype":{"polluted":1}}}',
    '[{"a":{"constructor":{"prototype":null}}}]'
  ]
  for (const text of texts) t.throws(() => parseJson(text, 16), { ...refusal, message: /a key that is not allowed/ }, text)
  t.equal(Reflect.get({}, 'polluted'), undefined)
})

t.test('G3 the words alone are harmless and accepted', async (t) => {
  for (const text of [
    '"__proto__"',
    '{"constructor":"Ford"}',
    '{"constructor":{"name":"x"}}',
    '{"constructor":null}',
    '{"prototype":{}}'
  ]) {
    t.same(parseJson(text, 16), JSON.parse(text), text)
  }
})
