import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import type { Scene } from '../fixtures/attack.js'
import { attack } from '../fixtures/attack.js'
import { runs } from '../fixtures/fc-runs.js'
import { anyChunks, encodeFrame, honestFrame } from '../fixtures/frame-arbitraries.js'
import { type Due, judgeBytes, parseServerFrames, type ServerFrame } from '../fixtures/frame-judge.js'
import { Opcode } from '../fixtures/frames.js'
import { RawSocket } from '../fixtures/raw-socket.js'
import { type Handled, judgeText } from '../fixtures/small-contract.js'
import { assertAnswer, declareSmallRoute, plentyOfRequests, SMALL_PATH } from '../fixtures/small-route.js'
import { issueTicket } from '../fixtures/tickets.js'
import { handshakeBytes, untilStats } from '../fixtures/upgrade.js'

const MAX_PAYLOAD = 1000
const PROBE = Buffer.from('is it there still?')
const PATIENCE_MS = 30_000

const calls: Handled[] = []

/** A raw socket on which the handshake is over. */
async function openRaw({ app, port }: Scene): Promise<RawSocket> {
  const ticket = await issueTicket(app, SMALL_PATH)
  const socket = connectTcp(port, '127.0.0.1')
  const raw = new RawSocket(socket)
  socket.setNoDelay(true)
  await once(socket, 'connect')
  raw.write(handshakeBytes(SMALL_PATH, ticket))
  await raw.until('$welcome')
  return raw
}

function framesOf(raw: RawSocket): ServerFrame[] {
  const begin = raw.received.indexOf('\r\n\r\n') + 4
  return parseServerFrames(Buffer.from(raw.received.slice(begin), 'latin1'))
}

/** Waits until the server has sent the frame, or closed. */
async function untilFrame(raw: RawSocket, isIt: (frame: ServerFrame) => boolean): Promise<void> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  while (!framesOf(raw).some(isIt) && !raw.socket.closed) {
    await Promise.race([once(raw.socket, 'data', { signal }), raw.ended])
  }
}

/** Writes the chunks one by one, sees what becomes of them, and leaves. All frames that came are answered. */
async function converse(raw: RawSocket, chunks: Buffer[], isOver: boolean, isCutOff: boolean): Promise<ServerFrame[]> {
  for (const chunk of chunks) {
    raw.write(chunk)
    await nextTurn()
  }
  if (isOver) await untilFrame(raw, ({ opcode }) => opcode === Opcode.close)
  else if (!isCutOff) {
    raw.write(encodeFrame(honestFrame(Opcode.ping, PROBE)))
    await untilFrame(raw, ({ opcode, payload }) => opcode === Opcode.pong && payload.equals(PROBE))
  }
  raw.socket.end()
  await raw.ended
  return framesOf(raw)
}

/** Fails where a frame is not what is due. */
function assertDue(frame: ServerFrame | undefined, due: Due): void {
  assert.ok(frame, `${due.what} is due`)
  if (due.what === 'pong') return assert.deepEqual(frame, { opcode: Opcode.pong, payload: due.payload })
  if (due.what === 'message') {
    const { answer } = judgeText(due.text)
    assert.ok(answer)
    assert.equal(frame.opcode, Opcode.text)
    return assertAnswer(JSON.parse(frame.payload.toString()), answer)
  }
  assert.equal(frame.opcode, Opcode.close)
  assert.equal(frame.payload.length === 0 ? null : frame.payload.readUInt16BE(0), due.code)
}

attack(
  'F1 F2 F3 F4 F8 G8 whatever bytes come: each message is answered, each fault closed with its code, and no handler called for less',
  { plugin: { ...plentyOfRequests, maxPayload: MAX_PAYLOAD }, declare: (app) => declareSmallRoute(app, calls) },
  async (t, scene) => {
    const seen = new Map<string, number>()
    const see = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1)
    await fc.assert(
      fc.asyncProperty(anyChunks, async (chunks) => {
        const { due, isCutOff } = judgeBytes(Buffer.concat(chunks), MAX_PAYLOAD)
        const messages = due.flatMap((one) => (one.what === 'message' ? [judgeText(one.text)] : []))
        // whose answer waits for the store, and may be overtaken
        fc.pre(messages.every(({ answer }) => answer?.code !== 'FST_WS_TICKET_INVALID_TICKET'))
        const isOver = due.at(-1)?.what === 'close'
        calls.length = 0
        const raw = await openRaw(scene)
        try {
          const [welcome, ...frames] = await converse(raw, chunks, isOver, isCutOff)
          assert.match(String(welcome?.payload), /^{"type":"\$welcome"/)
          const answered = due.filter((one) => one.what !== 'message' || judgeText(one.text).answer)
          const expected: Due[] = isOver || isCutOff ? answered : [...answered, { what: 'pong', payload: PROBE }]
          for (const [index, one] of expected.entries()) assertDue(frames[index], one)
          assert.equal(frames.length, expected.length, 'and nothing else')
          assert.deepEqual(
            calls,
            messages.flatMap(({ handled }) => handled ?? [])
          )
        } finally {
          raw.socket.destroy()
        }
        for (const one of due) see(one.what === 'close' ? `closed ${one.code}` : one.what)
        see(`${calls.length} handled`)
      }),
      runs(400)
    )
    await untilStats(scene.app, { connections: 1, users: 1, ips: 1 })
    t.comment(JSON.stringify(Object.fromEntries([...seen].sort())))
  }
)

attack(
  'F1 F2 what follows a fault is no frame: what came before is answered, and the code is that of the fault',
  { plugin: plentyOfRequests, declare: (app) => declareSmallRoute(app, calls, {}) },
  async (t, scene) => {
    const faults = {
      'RSV bits': [0xf1, 0x80],
      'a reserved opcode': [0x83, 0x80],
      'not masked': [0x81, 0x02],
      'a long control frame': [0x89, 0xfe]
    }
    for (const [what, fault] of Object.entries(faults)) {
      const raw = await openRaw(scene)
      const message = encodeFrame(honestFrame(Opcode.text, '{"type":"ping","id":7}'))
      // pings of no length, had they not come behind a fault
      const bytes = Buffer.concat([message, Buffer.from(fault), Buffer.alloc(2000, Buffer.from([0x89, 0x00]))])
      const [, reply, close] = await converse(raw, [bytes], true, false)
      t.same(JSON.parse(String(reply?.payload)), { type: '$reply', id: 7, payload: null }, what)
      t.equal(close?.payload.readUInt16BE(0), 1002, what)
    }
  }
)
