import t from 'tap'
import Type from 'typebox'
import { compileSchema } from '../../src/message/schema.js'
import { EventEncoder } from '../../src/publish/events.js'

const MAX_BYTES = 1000
const events = new EventEncoder(
  new Map([
    ['news', compileSchema(Type.Object({ text: Type.String({ maxLength: 900 }), more: Type.Optional(Type.Unknown()) }))],
    ['bare', compileSchema(Type.Object({}))]
  ]),
  MAX_BYTES
)

/** A text of nested arrays; the frame and its payload are two levels above. */
const nested = (depth: number) => `{"type":"news","payload":{"text":"","more":${'['.repeat(depth)}${']'.repeat(depth)}}}`

t.test('a frame that was encoded is built anew as it was', async (t) => {
  const payloads = [{ text: '' }, { text: 'ä\u0000\u{1F600}\ud800"\\' }, { text: 'a', more: { 2: [1.5e300, -0, null], a: { b: [] } } }]
  for (const payload of payloads) {
    for (const topic of [undefined, '', 'room', '__proto__']) {
      const frame = events.encode('news', payload, topic)
      t.same(events.rebuild(frame.toString(), topic), frame)
    }
  }
})

t.test('I9 clients see nothing of a frame but what was checked', async (t) => {
  const due = Buffer.from('{"type":"news","topic":"room","payload":{"text":"good"}}')
  const spellings = [
    ' { "payload" : { "text" : "good" } , "topic" : "room" , "type" : "news" } ',
    '{"type":"news","topic":"room","payload":{"text":"bad"},"payload":{"text":"good"}}',
    '{"type":"news","topic":"room","payload":{"text":"bad","text":"\\u0067ood"}}',
    '{"type":"$welcome","type":"news","topic":"room","payload":{"text":"good"}}'
  ]
  for (const text of spellings) t.same(events.rebuild(text, 'room'), due, text)
})

t.test('I9 what no event of the contract could have made is refused', async (t) => {
  const texts = [
    '',
    'null',
    '[]',
    '"news"',
    '{}',
    '{"type":"news"}',
    '{"type":"news","payload":null}',
    '{"type":"news","payload":{"text":7}}',
    '{"type":"news","payload":{"text":"a","extra":1}}',
    '{"type":"news","payload":{"text":"a"},"id":1}',
    '{"type":"news","topic":null,"payload":{"text":"a"}}',
    '{"type":"news","topic":"room","payload":{"text":"a"}}',
    '{"type":"other","payload":{"text":"a"}}',
    '{"type":["news"],"payload":{"text":"a"}}',
    '{"type":"__proto__","payload":{}}',
    '{"type":"toString","payload":{}}',
    '{"type":"$welcome","payload":{"connection":"c","expiresAt":1}}',
    '{"type":"news","payload":{"text":"a","__proto__":{"text":1}}}',
    '{"type":"news","payload":{"text":"a","more":{"__proto__":1}}}',
    '{"type":"news","payload":{"text":"a","more":[{"constructor":{"prototype":1}}]}}',
    '{"type":"news","payload":{"text":"a"},"__proto__":1}',
    '{"type":"bare","payload":{"__proto__":{}}}',
    '{"type":"news","payload":{"text":"a","more":1e999}',
    `{"type":"news","payload":{"text":"${'x'.repeat(901)}"}}`,
    `{"type":"news","payload":{"text":"${'ä'.repeat(500)}"}}`,
    nested(255),
    nested(100_000),
    nested(500_000)
  ]
  for (const text of texts) t.equal(events.rebuild(text, undefined), undefined, text.slice(0, 80))
  t.equal(events.rebuild('{"type":"news","payload":{"text":"a"}}', 'room'), undefined, 'no topic')
  t.equal(events.rebuild('{"type":"news","topic":"other","payload":{"text":"a"}}', 'room'), undefined, 'another topic')
  t.ok(events.rebuild(nested(254), undefined))
})
