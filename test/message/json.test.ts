import t from 'tap'
import { inspectJson, parseJson } from '../../src/message/json.js'

/** As frames are read. */
function parseAndInspect(text: string, maxDepth: number): unknown {
  const value = parseJson(text)
  inspectJson(value, maxDepth)
  return value
}

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const refusal = { code: 'FST_WS_TICKET_INVALID_JSON', statusCode: 400 }

t.test('JSON of every kind is parsed as it is', async (t) => {
  for (const value of [null, true, 0, -1.5, 'text', [], [1, [2]], {}, { a: { b: [null] } }]) {
    t.same(parseAndInspect(JSON.stringify(value), 4), value)
  }
})

t.test('G1 what is not JSON is refused, and the message does not quote it', async (t) => {
  const texts = ['', ' ', '{', '{"a":1} x', "{'a':1}", '{"a":1,}', '\uFEFF{"a":1}', 'undefined', 'NaN', '{"a":1}{"a":1}', 'secret-text']
  for (const text of texts) {
    t.throws(
      () => parseAndInspect(text, 16),
      { ...refusal, message: 'The frame is not acceptable JSON: it does not parse.' },
      JSON.stringify(text)
    )
  }
})

t.test('G2 JSON is accepted up to the depth that is allowed and refused beyond it', async (t) => {
  t.doesNotThrow(() => parseAndInspect(nested(16), 16))
  t.throws(() => parseAndInspect(nested(17), 16), { ...refusal, message: /nested too deep/ })
  t.throws(() => parseAndInspect('{"a":{"b":{}}}', 2), { ...refusal, message: /nested too deep/ })
  t.doesNotThrow(() => parseAndInspect('{"a":{"b":1}}', 2))
})

t.test('G2 nesting as deep as 64 KiB allow is refused without a stack overflow', async (t) => {
  t.throws(() => parseAndInspect(nested(32_768), 16), refusal)
  t.throws(() => parseAndInspect(nested(500_000), 16), refusal)
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
  for (const text of texts) t.throws(() => parseAndInspect(text, 16), { ...refusal, message: /a key that is not allowed/ }, text)
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
    t.same(parseAndInspect(text, 16), JSON.parse(text), text)
  }
})
