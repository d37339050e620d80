import assert from 'node:assert/strict'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { Duplex, type Writable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { constants, deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { type WebSocket, WebSocketServer } from 'ws'
import { Inlet, type InletOwner } from '../../src/wire/inlet.js'
import { runs } from '../fixtures/fc-runs.js'
import { anyChunks, encodeFrame, honestFrame } from '../fixtures/frame-arbitraries.js'
import { closeFrame, fragments, frame, messageFrame, Opcode } from '../fixtures/frames.js'
import { ManualClock } from '../fixtures/manual-clock.js'

const MAX_PAYLOAD = 1000

interface Options {
  /** Does something else listen to the socket's messages, so that the socket has to read them all? */
  readonly isOverheard?: boolean
  /** Is there no inlet, so that the socket reads as `ws` does it? */
  readonly isAlone?: boolean
  readonly perMessageDeflate?: boolean
  readonly maxPayload?: number
  /** Prepares the transport, on which the socket listens already. */
  readonly prepare?: (transport: Duplex) => void
}

/** A real `ws` socket over a transport that the test feeds, and the inlet before it. */
class World implements InletOwner {
  /** All that was told, in its order. */
  readonly seen: string[] = []
  /** Texts that the socket has told of. */
  readonly left: string[] = []
  /** How many bytes the socket was given at a time. */
  readonly handed: number[] = []
  /** How many bytes are kept for as long as the socket keeps one of them. */
  readonly kept: number[] = []
  readonly inlet: Inlet | undefined
  readonly socket: WebSocket
  readonly transport: Duplex
  isEnding = false
  #written = Buffer.alloc(0)

  constructor({ isOverheard = false, isAlone = false, maxPayload = MAX_PAYLOAD, prepare = () => {}, ...options }: Options = {}) {
    this.transport = new Duplex({
      read() {},
      write: (bytes: Buffer, _encoding, done) => {
        this.#written = Buffer.concat([this.#written, bytes])
        done()
      }
    })
    this.socket = upgrade(this.transport, { maxPayload, ...options })
    this.#countHanded()
    const [reader] = this.transport.listeners('data')
    prepare(this.transport)
    assert.ok(isReader(reader))
    const wire = { transport: this.transport, reader }
    this.inlet = isAlone ? undefined : new Inlet(this.socket, wire, this, maxPayload, new ManualClock())
    this.socket.on('message', (data, isBinary) => this.#told(isBinary ? 'binary' : `text ${data}`))
    this.socket.on('ping', (data) => this.#told(`ping ${data.toString('latin1')}`))
    this.socket.on('pong', (data) => this.#told(`pong ${data.toString('latin1')}`))
    this.socket.on('error', (error) => this.seen.push(`error ${Reflect.get(error, 'code')}`))
    this.socket.on('close', (code, reason) => this.seen.push(`close ${code} ${reason.toString('latin1')}`))
    if (isOverheard) this.socket.on('message', () => {})
  }

  /** What the app does on a text. */
  onText: () => void = () => {}

  receivedText(text: string): void {
    this.seen.push(`text ${text}`)
    this.onText()
  }

  followed(): void {}

  /** What was written after the answer to the handshake. */
  get written(): string {
    const text = this.#written.toString('latin1')
    return text.slice(text.indexOf('\r\n\r\n') + 4)
  }

  async feed(...chunks: readonly Buffer[]): Promise<void> {
    for (const chunk of chunks) {
      this.transport.push(Buffer.from(chunk))
      await nextTurn()
    }
  }

  /** The peer has gone: resolves when the socket has told all. */
  async end(): Promise<void> {
    this.transport.push(null)
    if (this.socket.readyState !== this.socket.CLOSED) await new Promise((resolve) => this.socket.once('close', resolve))
  }

  #countHanded(): void {
    const receiver: Writable = Reflect.get(this.socket, '_receiver')
    const { write } = receiver
    receiver.write = (bytes: Buffer) => {
      this.handed.push(bytes.length)
      this.kept.push(bytes.buffer.byteLength)
      return Reflect.apply(write, receiver, [bytes])
    }
  }

  #told(what: string): void {
    this.inlet?.told()
    this.seen.push(what)
    if (what.startsWith('text')) this.left.push(what)
  }
}

function upgrade(transport: Duplex, options: Pick<Options, 'perMessageDeflate'> & { readonly maxPayload: number }): WebSocket {
  const request = new IncomingMessage(new Socket())
  request.method = 'GET'
  request.headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'sec-websocket-extensions': 'permessage-deflate'
  }
  let opened: WebSocket | undefined
  new WebSocketServer({ noServer: true, ...options }).handleUpgrade(request, transport, Buffer.alloc(0), (socket) => {
    opened = socket
  })
  assert.ok(opened)
  return opened
}

const isReader = (value: unknown): value is (bytes: Buffer) => void => typeof value === 'function'

const text = (payload: string) => frame({ payload })

/** What comes of the same bytes with an inlet, and with `ws` alone. */
async function readByBoth(chunks: Buffer[], options: Options): Promise<[World, World]> {
  const worlds: [World, World] = [new World(options), new World({ ...options, isAlone: true })]
  for (const world of worlds) {
    await world.feed(...chunks)
    await world.end()
  }
  return worlds
}

t.test('F1 F2 F3 F4 whatever bytes come, it is as if ws had read them all', async () => {
  await fc.assert(
    fc.asyncProperty(anyChunks, async (chunks) => {
      const [world, other] = await readByBoth(chunks, {})
      assert.deepEqual(world.seen, other.seen)
      assert.equal(world.written, other.written)
    }),
    runs(500)
  )
})

t.test('F7 so it is with compression, where errors alone come when the inflating is done', async () => {
  await fc.assert(
    fc.asyncProperty(anyChunks, async (chunks) => {
      const [frames, others] = (await readByBoth(chunks, { perMessageDeflate: true })).map(({ seen }) => seen.filter(isFrame))
      assert.deepEqual(frames, others)
    }),
    runs(200)
  )
})

const isFrame = (what: string) => !/^(error|close)/.test(what)

t.test('plain texts never come to the socket, but for one that is cut, and what follows it is read here again', async (t) => {
  const world = new World()
  const long = 'x'.repeat(MAX_PAYLOAD)
  const cut = text('cut')
  await world.feed(
    Buffer.concat([text(''), text('a'), text('ä€😀'), text(long), cut.subarray(0, 7)]),
    Buffer.concat([cut.subarray(7), text('b')])
  )
  await world.feed(Buffer.concat([...fragments('c', 'd'), frame({ opcode: Opcode.ping, payload: 'e' })]), text('f'))
  await world.end()
  t.strictSame(world.left, ['text cut', 'text cd'])
  t.strictSame(world.seen.slice(0, -1), [
    'text ',
    'text a',
    'text ä€😀',
    `text ${long}`,
    'text cut',
    'text b',
    'text cd',
    'ping e',
    'text f'
  ])
})

t.test('F6 a text that is begun and not finished keeps nothing of what was read before it', async (t) => {
  const world = new World()
  const whole = Array.from({ length: 20 }, () => text('x'.repeat(900)))
  const cut = text('y'.repeat(MAX_PAYLOAD))
  await world.feed(Buffer.concat([...whole, cut.subarray(0, 10)]))
  t.strictSame([world.handed, world.kept], [[10], [10]])
  await world.feed(Buffer.concat([cut.subarray(10), text('z')]))
  t.strictSame(world.seen.slice(20), [`text ${'y'.repeat(MAX_PAYLOAD)}`, 'text z'])
})

t.test('every length of the last word of a text is unmasked', async (t) => {
  const world = new World()
  const texts = Array.from({ length: 140 }, (_, length) => 'abcdefg'.repeat(20).slice(0, length))
  await world.feed(Buffer.concat(texts.map(text)))
  t.strictSame(
    world.seen,
    texts.map((each) => `text ${each}`)
  )
  t.strictSame(world.left, [])
})

/** A text that is not masked, and would be another one if its first bytes were taken for the mask. */
const NOT_MASKED = Buffer.concat([frame({ payload: Buffer.alloc(8, 1), masked: false }), Buffer.alloc(4, 1)])

t.test('F1 F4 what is not plain is for the socket to judge', async (t) => {
  const bad: [string, Buffer, string][] = [
    ['not masked', NOT_MASKED, 'error WS_ERR_EXPECTED_MASK'],
    ['a reserved bit', frame({ payload: 'a', rsv: 4 }), 'error WS_ERR_UNEXPECTED_RSV_1'],
    ['no UTF-8', frame({ payload: Buffer.from([0x61, 0xc3, 0x28, 0x61, 0x61]) }), 'error WS_ERR_INVALID_UTF8'],
    ['half a surrogate pair', frame({ payload: Buffer.from([0xed, 0xa0, 0x80]) }), 'error WS_ERR_INVALID_UTF8'],
    ['too long', text('x'.repeat(MAX_PAYLOAD + 1)), 'error WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'],
    ['binary', frame({ opcode: Opcode.binary, payload: 'a' }), 'binary'],
    ['a text in place of a continuation', Buffer.concat([frame({ payload: 'a', fin: false }), text('b')]), 'error WS_ERR_INVALID_OPCODE']
  ]
  for (const [what, bytes, expected] of bad) {
    const world = new World()
    await world.feed(Buffer.concat([text('before'), bytes, text('behind')]))
    t.strictSame(world.seen.slice(0, 2), ['text before', expected], what)
    await world.end()
  }
})

t.test('F3 a text is no plain one while another message is unfinished', async (t) => {
  const world = new World()
  await world.feed(frame({ payload: 'a', fin: false }), text('b'))
  t.strictSame(world.seen, ['error WS_ERR_INVALID_OPCODE'])
  await world.end()
})

t.test('F2 behind a close frame or an error nothing is read', async (t) => {
  const ends: [Buffer, string[]][] = [
    [closeFrame(1000), ['close 1000 ']],
    [frame({ rsv: 7 }), ['error WS_ERR_UNEXPECTED_RSV_2_3', 'close 1006 ']]
  ]
  for (const [end, told] of ends) {
    const world = new World()
    await world.feed(Buffer.concat([text('a'), end, text('b')]), text('c'))
    await world.end()
    t.strictSame(world.seen, ['text a', ...told])
    const cut = new World()
    await cut.feed(Buffer.concat([text('a'), end.subarray(0, 7)]), Buffer.concat([end.subarray(7), text('b')]), text('c'))
    await cut.end()
    t.strictSame(cut.seen, ['text a', ...told], 'nor where it is cut')
  }
})

t.test('E9 while a connection ends its close frame is found, wherever it is cut, and all else is passed over', async (t) => {
  const flood = Buffer.concat([
    text('b'),
    frame({ opcode: Opcode.ping }),
    frame({ opcode: Opcode.binary, length: 100_000, payload: Buffer.alloc(100_000) })
  ])
  const tail = Buffer.concat([flood, closeFrame(4000), text('c')])
  for (const size of [1, 2, 3, 7, 1000, tail.length]) {
    const world = new World()
    await world.feed(text('a'))
    world.isEnding = true
    world.socket.close(4000)
    for (let at = 0; at < tail.length; at += size) world.transport.push(Buffer.from(tail.subarray(at, at + size)))
    await world.end()
    t.strictSame(world.seen, ['text a', 'close 4000 '], `in pieces of ${size}`)
    t.equal(
      world.handed.reduce((sum, length) => sum + length, 0),
      closeFrame(4000).length
    )
  }
})

t.test(
  'a frame that its socket has begun to read is read to its end when the connection ends, and a close frame among fragments is found',
  async (t) => {
    const world = new World()
    const begun = frame({ payload: 'x'.repeat(300), fin: false })
    await world.feed(begun.subarray(0, 100), begun.subarray(100, 200))
    world.isEnding = true
    world.socket.close(4000)
    await world.feed(begun.subarray(200), Buffer.concat([frame({ opcode: Opcode.continuation, payload: 'y' }), closeFrame(4000)]))
    await world.end()
    t.strictSame(world.seen, ['close 4000 '])
  }
)

t.test('a handler that ends the connection is the last of those that came together', async (t) => {
  const world = new World()
  world.onText = () => {
    world.isEnding = true
  }
  await world.feed(Buffer.concat([text('a'), text('b'), closeFrame(1000)]))
  await world.end()
  t.strictSame(world.seen, ['text a', 'close 1000 '])
})

t.test('a message in pieces of one byte comes to the socket in few, and as it was', async (t) => {
  const world = new World({ maxPayload: 100_000 })
  const payload = 'abcdefg'.repeat(10_000)
  const bytes = text(payload)
  for (const byte of bytes) world.transport.push(Buffer.from([byte]))
  await world.end()
  t.strictSame(world.left, [`text ${payload}`])
  t.ok(world.handed.length < 25, `${world.handed.length} pieces`)
})

t.test('nothing overtakes what the socket is still inflating', async (t) => {
  const world = new World({ perMessageDeflate: true })
  const deflated = deflateRawSync('a', { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
  await world.feed(frame({ payload: deflated, rsv: 4 }), text('b'))
  while (world.seen.length < 2) await nextTurn()
  await world.feed(text('c'))
  t.strictSame(world.seen, ['text a', 'text b', 'text c'])
  t.strictSame(world.left, ['text a', 'text b'])
  await world.end()
})

t.test('where others listen to the messages of the socket, it tells them all', async (t) => {
  const world = new World({ isOverheard: true })
  await world.feed(text('a'))
  t.strictSame(world.left, ['text a'])
  await world.end()
})

t.test('who listens to the transport as well sees its bytes as they came', async (t) => {
  const bytes: Buffer[] = []
  const world = new World({ prepare: (transport) => transport.prependListener('data', (chunk: Buffer) => bytes.push(Buffer.from(chunk))) })
  const sent = Buffer.concat([messageFrame('a'), frame({ opcode: Opcode.pong, payload: 'b' }), encodeFrame(honestFrame(Opcode.text, 'c'))])
  await world.feed(sent)
  t.strictSame(world.seen, ['text a', 'pong b', 'text c'])
  t.strictSame(Buffer.concat(bytes), sent)
  await world.end()
})
