import type { Test } from 'tap'
import { AnyMessage } from '../fixtures/any-message.js'
import { attack } from '../fixtures/attack.js'
import { manyMessages } from '../fixtures/counted-echo.js'
import { messageFrame, openRaw, type RawClient } from '../fixtures/frames.js'

const path = '/any'
const LIMIT = 65_536

/** Each text is answered with this error, and none reaches a handler. */
async function areRefused(t: Test, raw: RawClient, { handled }: AnyMessage, code: string, texts: readonly string[]): Promise<void> {
  const before = handled.length
  for (const text of texts) {
    raw.write(messageFrame(text))
    const answer = await raw.next()
    t.match(answer, { type: '$error', payload: { code: `FST_WS_TICKET_${code}` } }, JSON.stringify(text.slice(0, 80)))
    t.ok(JSON.stringify(answer).length < 1000, 'it is not answered at length')
  }
  t.equal(handled.length, before, 'none is handled')
}

const good = '{"type":"any","id":1,"payload":1}'
const notJson = [
  '',
  ' ',
  'hello',
  '{',
  '{"type":"any"',
  `\uFEFF${good}`,
  `${good}\uFEFF`,
  `${good} x`,
  `${good}${good}`,
  `${good}\n${good}`,
  `${good},`,
  `${good}\0`,
  "{'type':'any'}",
  '{"type":"any",}',
  '{"type":"any"}//',
  '{"type":"any","payload":NaN}',
  '{"type":"any","payload":0x10}',
  '{"type":"any","payload":01}',
  '{"type":"any","payload":"\n"}',
  '{"type":"any","payload":undefined}'
]

const json = new AnyMessage()
attack('G1 what is not JSON is answered with $error', { declare: (app) => json.declare(app, manyMessages) }, async (t, { app }) => {
  const raw = await openRaw(t, app, { path })
  await areRefused(t, raw, json, 'INVALID_JSON', notJson)
  t.same(await raw.request('any', 1, 2), { type: '$reply', id: 2, payload: null })
})

const counted = new AnyMessage()
attack(
  'G1 what is not JSON is counted: ten a minute are answered, one more is closed with 4400',
  { timed: true, declare: counted.declare },
  async (t, scene) => {
    const request = { headers: { 'x-claims': '{"sub":"ann"}' } }
    const raw = await openRaw(t, scene.app, { path, request })
    await areRefused(t, raw, counted, 'INVALID_JSON', notJson.slice(0, 10))
    await scene.advance(6000)
    await areRefused(t, raw, counted, 'INVALID_JSON', notJson.slice(0, 1))
    raw.write(messageFrame('{'), messageFrame(good))
    t.same(await raw.closed, { code: 4400, reason: 'too many bad messages' })
    t.same(
      raw.unread.filter(({ opcode }) => opcode === 1),
      [],
      'the last one is not explained'
    )
    t.same(counted.handled, [], 'and what is behind it is not handled')
  }
)

/** Nestings that just fit into one message of 64 KiB. */
function deepest(open: string, close: string, middle = ''): string {
  // as long as the longest type that takes its place
  const head = '{"type":"unknown","payload":'
  const depth = Math.floor((LIMIT - head.length - middle.length - 1) / (open.length + close.length))
  return `${head}${open.repeat(depth)}${middle}${close.repeat(depth)}}`
}

const deep = new AnyMessage()
attack(
  'G2 nesting deeper than 16, as deep as 64 KiB allow, is refused without a stack overflow',
  { declare: (app) => deep.declare(app, manyMessages) },
  async (t, { app }) => {
    const raw = await openRaw(t, app, { path })
    const nestings = [
      deepest('[', ']'),
      deepest('{"a":', '}', '1'),
      deepest('[{"a":', '}]', '1'),
      deepest('{"children":[', ']}'),
      deepest('[0,', ']', '0')
    ]
    for (const type of ['any', 'open', 'tree', 'strict', 'unknown']) {
      await areRefused(
        t,
        raw,
        deep,
        'INVALID_JSON',
        nestings.map((text) => text.replace('unknown', type))
      )
    }
    const places = ['"type"', '"id"', '"other"'].map((name) => deepest('[', ']').replace('"payload"', name))
    await areRefused(t, raw, deep, 'INVALID_JSON', [
      ...places,
      '['.repeat(LIMIT),
      '{"a":'.repeat(LIMIT / 5),
      `${'['.repeat(LIMIT / 2)}${']'.repeat(LIMIT / 2)}`
    ])
    const nested = (levels: number) => `{"type":"any","id":3,"payload":${'['.repeat(levels)}${']'.repeat(levels)}}`
    await areRefused(t, raw, deep, 'INVALID_JSON', [nested(16)])
    raw.write(messageFrame(nested(15)))
    t.same(await raw.next(), { type: '$reply', id: 3, payload: null }, 'sixteen levels, the envelope included, are accepted')
  }
)

const keys = new AnyMessage()
attack(
  'G3 keys that reach a prototype are refused at any depth, and nothing is polluted',
  { declare: (app) => keys.declare(app, manyMessages) },
  async (t, { app }) => {
    const raw = await openRaw(t, app, { path })
    const objects = [
      '{"__proto__":{"polluted":1}}',
      '{"__proto__":null}',
      '{"__proto__":1}',
      '{"\\u005f_proto__":{"polluted":1}}',
      '{"\\u005f\\u005f\\u0070roto\\u005f\\u005f":{"polluted":1}}',
      '{"a":1,"__proto__":{"polluted":1},"b":2}',
      '{"constructor":{"prototype":{"polluted":1}}}',
      '{"constructor":{"prototype":null}}',
      '{"\\u0063onstructor":{"\\u0070rototype":{"polluted":1}}}',
      '{"constructor":1,"constructor":{"prototype":{"polluted":1}}}'
    ]
    const places: ((object: string) => string)[] = [
      (object) => object,
      (object) => `{"a":${object}}`,
      (object) => `[[[[${object}]]]]`,
      (object) => `${'{"a":['.repeat(7)}${object}${']}'.repeat(7)}`,
      (object) => `{"children":[{"children":[${object}]}]}`
    ]
    for (const type of ['any', 'open', 'tree', 'strict', 'unknown']) {
      const texts = places.flatMap((place) => objects.map((object) => `{"type":"${type}","id":1,"payload":${place(object)}}`))
      const shallow = texts.filter((text) => !text.includes('{"a":['.repeat(7)) || !text.includes('constructor'))
      await areRefused(t, raw, keys, 'INVALID_JSON', shallow)
    }
    await areRefused(t, raw, keys, 'INVALID_JSON', [
      '{"type":"any","__proto__":{"payload":1}}',
      '{"__proto__":{"type":"any"}}',
      '{"type":"any","constructor":{"prototype":{"polluted":1}}}',
      '[{"__proto__":{"polluted":1}}]'
    ])
    t.equal(Reflect.get({}, 'polluted'), undefined)
    t.equal(Reflect.get([], 'polluted'), undefined)
    t.equal(Reflect.get(Object, 'polluted'), undefined)
  }
)

const types = new AnyMessage()
attack(
  'G4 types that are unknown, or no text, are answered with $error',
  { declare: (app) => types.declare(app, manyMessages) },
  async (t, { app }) => {
    const raw = await openRaw(t, app, { path })
    const names = [
      '',
      'nope',
      'toString',
      '__proto__',
      'constructor',
      'hasOwnProperty',
      'valueOf',
      'ANY',
      'any ',
      'any\0',
      'ａny',
      '$reply',
      '$error',
      '$welcome',
      '$expiring',
      '$',
      'x'.repeat(60_000)
    ]
    await areRefused(
      t,
      raw,
      types,
      'UNKNOWN_TYPE',
      names.map((type) => JSON.stringify({ type, id: 1, payload: {} }))
    )
    const others = ['{}', '[]', '["any"]', '[["any"]]', '{"toString":"any"}', 'null', 'true', '0', '1e400']
    await areRefused(
      t,
      raw,
      types,
      'INVALID_ENVELOPE',
      others.map((type) => `{"type":${type},"id":1,"payload":{}}`)
    )
    const frames = [
      'null',
      'true',
      '0',
      '"any"',
      '[]',
      '["any",1,{}]',
      '{}',
      '{"payload":{}}',
      '{"type":"any","extra":1}',
      '{"type":"any","Type":"any"}'
    ]
    await areRefused(t, raw, types, 'INVALID_ENVELOPE', frames)
    const ids = ['-1', '1.5', '"1"', 'null', '[1]', '{}', 'true', '1e400', '9007199254740992']
    await areRefused(
      t,
      raw,
      types,
      'INVALID_ENVELOPE',
      ids.map((id) => `{"type":"any","id":${id},"payload":{}}`)
    )
    t.same(await raw.request('any', 1, 2), { type: '$reply', id: 2, payload: null })
  }
)
