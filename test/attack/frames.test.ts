import type { Test } from 'tap'
import { attack, type Scene } from '../fixtures/attack.js'
import { CountedEcho, echo, manyRequests } from '../fixtures/counted-echo.js'
import { closeFrame, type FrameShape, fragments, frame, messageFrame, Opcode, openRaw } from '../fixtures/frames.js'

const honestMessage = JSON.stringify(echo('honest'))

/** Writes frames with a message behind them, in one segment: they close the connection, and the message is not handled. */
async function isClosedBy(t: Test, { app }: Scene, { handled }: CountedEcho, bytes: Buffer[], code: number, what: string) {
  const raw = await openRaw(t, app)
  t.match(await raw.request('echo', { text: 'before' }), { type: '$reply' })
  const count = handled.length
  raw.write(...bytes, messageFrame(echo('behind it')))
  t.match(await raw.closed, { code }, what)
  t.equal(handled.length, count, `${what}: nothing is handled`)
  t.notOk(
    raw.unread.some(({ opcode }) => opcode === Opcode.text),
    `${what}: nothing is answered`
  )
  raw.raw.socket.destroy()
}

const unmasked = new CountedEcho()
attack('F1 unmasked frames of every kind are closed with 1002', { plugin: manyRequests, declare: unmasked.declare }, async (t, scene) => {
  const shapes: Record<string, FrameShape> = {
    text: { payload: honestMessage },
    'the beginning of a text': { payload: honestMessage, fin: false },
    empty: {},
    binary: { opcode: Opcode.binary, payload: honestMessage },
    ping: { opcode: Opcode.ping },
    pong: { opcode: Opcode.pong },
    close: { opcode: Opcode.close, payload: Buffer.from([3, 232]) },
    'as large as may be': { payload: honestMessage.padEnd(65_536) }
  }
  for (const [what, shape] of Object.entries(shapes)) {
    await isClosedBy(t, scene, unmasked, [frame({ ...shape, masked: false })], 1002, what)
  }
  const [begin, end] = fragments(honestMessage.slice(0, 9), honestMessage.slice(9))
  if (!begin || !end) throw new Error('there are two fragments')
  const bareEnd = frame({ opcode: Opcode.continuation, payload: honestMessage.slice(9), masked: false })
  await isClosedBy(t, scene, unmasked, [begin, bareEnd], 1002, 'the end of a masked text')
})

const broken = new CountedEcho()
attack('F2 frames against the protocol are closed with 1002', { plugin: manyRequests, declare: broken.declare }, async (t, scene) => {
  const text = { payload: honestMessage }
  const reserved = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
  const control = [Opcode.close, Opcode.ping, Opcode.pong]
  const begun = frame({ payload: honestMessage.slice(0, 9), fin: false })
  const variants: [string, Buffer[]][] = [
    ...[1, 2, 3, 4, 5, 6, 7].map((rsv): [string, Buffer[]] => [`reserved bits ${rsv}`, [frame({ ...text, rsv })]]),
    ['a reserved bit of a continuation', [begun, frame({ opcode: Opcode.continuation, payload: honestMessage.slice(9), rsv: 4 })]],
    ['a reserved bit of a ping', [frame({ opcode: Opcode.ping, rsv: 4 })]],
    ...reserved.map((opcode): [string, Buffer[]] => [`opcode ${opcode}`, [frame({ ...text, opcode })]]),
    ...reserved.map((opcode): [string, Buffer[]] => [`opcode ${opcode} without data`, [frame({ opcode })]]),
    ...control.map((opcode): [string, Buffer[]] => [`control frame ${opcode} in fragments`, [frame({ opcode, fin: false })]]),
    ...control.map((opcode): [string, Buffer[]] => [
      `control frame ${opcode} of 126 bytes`,
      [frame({ opcode, payload: Buffer.alloc(126, 3) })]
    ]),
    ...control.map((opcode): [string, Buffer[]] => [
      `control frame ${opcode} of 70,000 bytes`,
      [frame({ opcode, payload: Buffer.alloc(70_000, 3) })]
    ]),
    ...control.map((opcode): [string, Buffer[]] => [
      `control frame ${opcode}, 2^40 bytes announced`,
      [frame({ opcode, length: 2n ** 40n })]
    ]),
    ['a continuation of nothing', [frame({ ...text, opcode: Opcode.continuation })]],
    ['a continuation of nothing, unfinished', [frame({ ...text, opcode: Opcode.continuation, fin: false })]],
    ['a text within a text', [begun, frame(text)]],
    ['a binary within a text', [begun, frame({ ...text, opcode: Opcode.binary })]],
    ['a close frame of one byte', [frame({ opcode: Opcode.close, payload: 'x' })]],
    ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535].map((code): [string, Buffer[]] => [
      `close code ${code}`,
      [closeFrame(code)]
    ])
  ]
  for (const [what, bytes] of variants) await isClosedBy(t, scene, broken, bytes, 1002, what)
})

const garbled = new CountedEcho()
attack('F3 text that is not UTF-8 is closed with 1007', { plugin: manyRequests, declare: garbled.declare }, async (t, scene) => {
  const invalid: Record<string, number[]> = {
    'a lone continuation byte': [0x80],
    'a byte that never occurs': [0xff],
    'an overlong slash': [0xc0, 0xaf],
    'an overlong NUL': [0xe0, 0x80, 0x80],
    'a surrogate': [0xed, 0xa0, 0x80],
    'beyond U+10FFFF': [0xf4, 0x90, 0x80, 0x80],
    'a character cut off': [0xe2, 0x82]
  }
  for (const [what, bytes] of Object.entries(invalid)) {
    const bad = Buffer.from(bytes)
    const around = ['{"type":"echo","id":1,"payload":{"text":"', '"}}'].map((part) => Buffer.from(part))
    const [head = bad, tail = bad] = around
    await isClosedBy(t, scene, garbled, [frame({ payload: Buffer.concat([head, bad, tail]) })], 1007, what)
    await isClosedBy(t, scene, garbled, fragments(head, bad, tail), 1007, `${what}, in a fragment of its own`)
    await isClosedBy(t, scene, garbled, fragments(bad.subarray(0, 1), bad.subarray(1)), 1007, `${what}, split`)
    await isClosedBy(t, scene, garbled, [closeFrame(1000, bad)], 1007, `${what}, in a close reason`)
  }
})

const split = new CountedEcho()
attack('F3 a character that is split over fragments is none the worse', { declare: split.declare }, async (t, { app }) => {
  const raw = await openRaw(t, app)
  const bytes = Buffer.from(JSON.stringify(echo('für 10 € 𝒳')))
  raw.write(...fragments(...[...bytes].map((byte) => Buffer.from([byte]))))
  t.match(await raw.next(), { type: '$reply', id: 1, payload: { text: 'für 10 € 𝒳' } })
  raw.write(closeFrame(1000, 'auf Wiedersehen €'))
  t.same(await raw.closed, { code: 1000, reason: 'auf Wiedersehen €' })
  t.same(split.handled, ['für 10 € 𝒳'])
})

const binary = new CountedEcho()
attack('F8 binary frames on a JSON route are closed with 1003', { plugin: manyRequests, declare: binary.declare }, async (t, scene) => {
  const { opcode, payload } = { opcode: Opcode.binary, payload: honestMessage }
  await isClosedBy(t, scene, binary, [frame({ opcode, payload })], 1003, 'a message as binary')
  await isClosedBy(t, scene, binary, [frame({ opcode })], 1003, 'nothing as binary')
  await isClosedBy(t, scene, binary, [frame({ opcode, payload: Buffer.from([0, 255, 128]) })], 1003, 'bytes')
  await isClosedBy(t, scene, binary, [frame({ opcode, payload: payload.padEnd(65_536) })], 1003, 'as large as may be')
  const parts = [frame({ opcode, payload: '{', fin: false }), frame({ opcode: Opcode.continuation, payload: '}' })]
  await isClosedBy(t, scene, binary, parts, 1003, 'in fragments')
})
