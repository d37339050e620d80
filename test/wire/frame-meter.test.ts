import t from 'tap'
import { FrameMeter } from '../../src/wire/frame-meter.js'

const TEXT = 0x81
const TEXT_FRAGMENT = 0x01
const CONTINUATION = 0x00
const LAST_CONTINUATION = 0x80
const PING = 0x89
const ENOUGH = 1_000_000

/** A masked frame; how long its length is written is chosen as RFC 6455 demands. */
function masked(first: number, length: number): Buffer {
  return Buffer.concat([Buffer.from([first]), lengthBytes(length), Buffer.alloc(4 + length, 0xff)])
}

function lengthBytes(length: number): Buffer {
  if (length < 126) return Buffer.from([0x80 | length])
  if (length < 65_536) return Buffer.from([0x80 | 126, length >> 8, length & 255])
  const long = Buffer.alloc(9)
  long.writeUInt8(0x80 | 127)
  long.writeBigUInt64BE(BigInt(length), 1)
  return long
}

t.test('messages of every length are followed, wherever the bytes are cut', async (t) => {
  const lengths = [0, 1, 125, 126, 127, 65_535, 65_536]
  const bytes = Buffer.concat([...lengths.map((length) => masked(TEXT, length)), masked(PING, 3)])
  for (const size of [1, 2, 3, 7, 1000, bytes.length]) {
    const meter = new FrameMeter()
    let extra = 0
    for (let at = 0; at < bytes.length; at += size) extra += meter.read(bytes.subarray(at, at + size), 0)
    t.equal(extra, 1, `one ping among the messages, in pieces of ${size}`)
    t.notOk(meter.isUnfinishedSince(ENOUGH), 'and all is finished')
  }
})

t.test('frames that complete no message are counted where they begin', async (t) => {
  const meter = new FrameMeter()
  t.equal(meter.read(masked(TEXT, 5), 0), 0, 'a message')
  t.equal(meter.read(Buffer.concat([masked(PING, 0), masked(0x8a, 5), masked(0x88, 2)]), 0), 3, 'ping, pong and close')
  t.equal(meter.read(Buffer.concat([masked(TEXT_FRAGMENT, 1), masked(CONTINUATION, 0), masked(CONTINUATION, 1)]), 0), 3, 'fragments')
  t.equal(meter.read(masked(LAST_CONTINUATION, 1), 0), 0, 'the last fragment completes one')
  t.equal(meter.read(Buffer.from([PING]), 0), 1, 'as soon as the first byte is there')
  t.equal(meter.read(Buffer.from([0x80, 0, 0, 0, 0]), 0), 0, 'and once')
})

t.test('a message is unfinished from its first byte to its last', async (t) => {
  const meter = new FrameMeter()
  t.notOk(meter.isUnfinishedSince(ENOUGH), 'before anything came')
  meter.read(masked(TEXT, 100).subarray(0, 1), 10)
  t.notOk(meter.isUnfinishedSince(9))
  t.ok(meter.isUnfinishedSince(10))
  meter.read(masked(TEXT, 100).subarray(1, 50), 20)
  t.ok(meter.isUnfinishedSince(10), 'more of it does not renew the time')
  meter.read(masked(TEXT, 100).subarray(50), 30)
  t.notOk(meter.isUnfinishedSince(ENOUGH))

  meter.read(masked(TEXT_FRAGMENT, 3), 40)
  meter.read(Buffer.concat([masked(CONTINUATION, 3), masked(PING, 3)]), 50)
  t.ok(meter.isUnfinishedSince(40), 'fragments and pings between them do not renew it either')
  meter.excuse(60)
  t.notOk(meter.isUnfinishedSince(59), 'what nothing was read in does not count')
  t.ok(meter.isUnfinishedSince(60))
  meter.read(masked(LAST_CONTINUATION, 0), 70)
  t.notOk(meter.isUnfinishedSince(ENOUGH))

  meter.read(Buffer.concat([masked(TEXT, 3), masked(TEXT, 3).subarray(0, 4)]), 80)
  t.ok(meter.isUnfinishedSince(80), 'the beginning behind a whole one')
})

t.test('a frame without a mask, and one that declares 2^63 bytes, do not confuse it', async (t) => {
  const meter = new FrameMeter()
  t.equal(meter.read(Buffer.from([TEXT, 2, 1, 1, PING, 0, TEXT, 0]), 0), 1)
  t.notOk(meter.isUnfinishedSince(ENOUGH))
  meter.read(Buffer.from([TEXT, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, PING]), 5)
  t.ok(meter.isUnfinishedSince(5))
})
