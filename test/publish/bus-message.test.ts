import t from 'tap'
import type { BusMessage } from '../../src/publish/bus.js'
import { BusEncoder, decodeBusMessage } from '../../src/publish/bus-message.js'

const MAX_FRAME = 1000
const encoder = new BusEncoder('node 1')
const decode = (text: string) => decodeBusMessage(text, MAX_FRAME)

/** A valid message, with some of it replaced. */
const textOf = (kind: keyof typeof VALID, change: object = {}): string => JSON.stringify({ ...VALID[kind], ...change })

const head = { v: 1, from: 'node 2' }
const VALID = {
  publish: { ...head, kind: 'publish', frame: '{}' },
  send: { ...head, kind: 'send', route: '/chat', target: { user: 'ann' }, frame: '{}' },
  disconnect: { ...head, kind: 'disconnect', id: 'one', route: null, target: { all: true }, code: 4403, reason: 'why' }
}

t.test('a message is read as it was written', async (t) => {
  const frame = Buffer.from(JSON.stringify({ type: 'news', payload: { text: 'ä\u0000\u{1F600}"\\' } }))
  const messages: BusMessage[] = [
    { kind: 'publish', route: '/chat', topic: 'room', frame },
    { kind: 'send', route: '/chat', target: { user: 'ann' }, frame },
    { kind: 'send', route: '', target: { connection: 'c1' }, frame },
    { kind: 'send', route: '/chat', target: { all: true }, frame },
    { kind: 'disconnect', route: null, target: { user: 'ann' }, code: 4409, reason: '' },
    { kind: 'disconnect', route: '/chat', target: { all: true }, code: 1012, reason: 'r'.repeat(123) }
  ]
  for (const message of messages) {
    const text = encoder.encode(message)
    const { route, topic, ...published } = Object.assign({ topic: undefined }, message)
    const due = message.kind === 'publish' ? published : message
    const id = message.kind === 'disconnect' && { id: Reflect.get(Object(decode(text)), 'id') }
    t.match(id, id && { id: /^[0-9a-f-]{36}$/ })
    t.strictSame(decode(text), { v: 1, from: 'node 1', ...due, ...id, ...('frame' in due && { frame: frame.toString() }) })
    t.equal(encoder.isOwn(text), true)
  }
})

t.test('a node knows its own messages', async (t) => {
  const message: BusMessage = { kind: 'disconnect', route: null, target: { all: true }, code: 4403, reason: '' }
  for (const other of ['node', 'node 11', 'node 1",', '']) t.equal(encoder.isOwn(new BusEncoder(other).encode(message)), false)
  t.equal(new BusEncoder('a"b').isOwn(new BusEncoder('a"b').encode(message)), true)
})

t.test('I9 what is no message is not read', async (t) => {
  for (const kind of ['publish', 'send', 'disconnect'] as const) t.type(decode(textOf(kind)), 'object', kind)
  const changes: [kind: keyof typeof VALID, change: object][] = [
    ['publish', { kind: 'toString' }],
    ['publish', { kind: undefined }],
    ['publish', { from: 7 }],
    ['publish', { from: '' }],
    ['publish', { from: 'x'.repeat(65) }],
    ['publish', { from: undefined }],
    ['publish', { frame: undefined }],
    ['publish', { frame: { type: 'news' } }],
    ['publish', { frame: ['{}'] }],
    ['publish', { route: '/chat' }],
    ['publish', { topic: 'room' }],
    ['send', { route: null }],
    ['send', { route: 'x'.repeat(65_537) }],
    ['send', { target: null }],
    ['send', { target: {} }],
    ['send', { target: 'all' }],
    ['send', { target: { all: false } }],
    ['send', { target: { user: '' } }],
    ['send', { target: { user: ['ann'] } }],
    ['send', { target: { user: 'x'.repeat(65_537) } }],
    ['send', { target: { user: 'ann', connection: 'c1' } }],
    ['send', { target: { user: 'ann', all: true } }],
    ['send', { code: 4403 }],
    ['disconnect', { id: undefined }],
    ['disconnect', { id: '' }],
    ['disconnect', { route: 7 }],
    ['disconnect', { route: undefined }],
    ['disconnect', { code: '4403' }],
    ['disconnect', { code: 4403.5 }],
    ['disconnect', { reason: undefined }],
    ['disconnect', { reason: 'r'.repeat(124) }],
    ['disconnect', { frame: '{}' }]
  ]
  for (const [kind, change] of changes) t.equal(decode(textOf(kind, change)), 'malformed', `${kind} ${JSON.stringify(change).slice(0, 60)}`)
  const withKey = (key: string) => `${textOf('send').slice(0, -1)},${JSON.stringify(key)}:{"v":1}}`
  for (const key of ['__proto__', 'constructor', 'prototype', 'toString', '']) t.equal(decode(withKey(key)), 'malformed', key)
  t.equal(decode(textOf('send').replace('"user"', '"__proto__"')), 'malformed')
  t.equal(decode(`{"__proto__":${textOf('publish')}}`), 'not of version 1')
})

t.test('I9 messages of other versions, and what is no JSON, are not read', async (t) => {
  for (const v of [0, 2, 1.5, -1, '1', true, null, undefined, [1], {}]) t.equal(decode(textOf('publish', { v })), 'not of version 1')
  const deep = '['.repeat(1000) + ']'.repeat(1000)
  for (const text of [
    '',
    ' ',
    '{',
    'null',
    '1',
    '"v"',
    '[]',
    '[1]',
    '{}',
    'true',
    `${textOf('publish')},`,
    `\uFEFF${textOf('publish')}`,
    deep
  ]) {
    t.equal(decode(text), 'not of version 1', text.slice(0, 40))
  }
})

t.test('I9 close codes that no application may send are not taken', async (t) => {
  for (const code of [0, -1, 999, 1004, 1005, 1006, 1015, 2000, 2999, 5000, 1e9]) {
    t.equal(decode(textOf('disconnect', { code })), 'a close code that is not allowed', String(code))
  }
  for (const code of [1000, 1001, 1012, 3000, 4403, 4409, 4999]) t.type(decode(textOf('disconnect', { code })), 'object', String(code))
})

t.test('I9 a message that is longer than any can be is not parsed', async (t) => {
  const longest = textOf('send', { frame: '"'.repeat(MAX_FRAME), route: 'r'.repeat(65_536), target: { user: 'u'.repeat(65_536) } })
  t.type(decode(longest), 'object')
  t.equal(decode(textOf('publish', { frame: 'x'.repeat(2 * MAX_FRAME + 3 * 65_536) })), 'too long')
  t.equal(decode(`${' '.repeat(2_000_000)}${textOf('publish')}`), 'too long')
})
