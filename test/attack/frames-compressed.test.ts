import { subscribe } from 'node:diagnostics_channel'
import { constants, deflateRawSync } from 'node:zlib'
import fastifyWebsocket from '@fastify/websocket'
import { attack } from '../fixtures/attack.js'
import { CountedEcho, echo, manyRequests } from '../fixtures/counted-echo.js'
import { beginRaw, fragments, frame, messageFrame, Opcode, openRaw, type RawClient } from '../fixtures/frames.js'
import { issueTicket } from '../fixtures/tickets.js'
import { until } from '../fixtures/until.js'
import { refusedUpgrade } from '../fixtures/upgrade.js'

/** What the app of the next attack turns on; each app of this file registers its own @fastify/websocket before the plugin. */
const own = { perMessageDeflate: { threshold: 0 }, maxPayload: 65_536 }
subscribe('fastify.initialization', (message) => {
  const register: unknown = Reflect.get(Object(Reflect.get(Object(message), 'fastify')), 'register')
  if (typeof register === 'function') register(fastifyWebsocket, { options: own })
})

const headers = { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
const COMPRESSED = 4
const TAIL_BYTES = 4

/** A text as RFC 7692, section 7.2.1, has it: without the empty block at its end. */
function compress(text: string | Buffer): Buffer {
  const bytes = deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH, level: 9 })
  return bytes.subarray(0, bytes.length - TAIL_BYTES)
}

function assertIsOpen(raw: RawClient, answer: string): void {
  if (!/sec-websocket-extensions: permessage-deflate/i.test(answer)) throw new Error(`not negotiated: ${answer} ${raw.unread.length}`)
}

const bombed = new CountedEcho()
attack(
  'F7 where the app turns compression on, a bomb of 1000:1 is closed with 1009',
  { plugin: manyRequests, declare: bombed.declare },
  async (t, { app }) => {
    const bomb = compress(Buffer.alloc(60_000_000, ' '))
    t.ok(bomb.length < 65_536 && bomb.length * 1000 < 60_000_000, `${bomb.length} bytes become 60 million`)
    const bombs: [string, Buffer[]][] = [
      ['in one frame', [frame({ rsv: COMPRESSED, payload: bomb })]],
      ['begun, and never finished', [frame({ rsv: COMPRESSED, fin: false, payload: bomb.subarray(0, 1000) })]],
      ['as binary', [frame({ rsv: COMPRESSED, opcode: Opcode.binary, payload: bomb })]],
      ['in front of an honest message', [frame({ rsv: COMPRESSED, payload: bomb }), messageFrame(echo('behind it'))]]
    ]
    for (const [what, bytes] of bombs) {
      const raw = await beginRaw(t, app, { headers })
      assertIsOpen(raw, await raw.answer)
      raw.write(...bytes)
      t.match(await raw.closed, { code: 1009 }, what)
    }
    t.same(bombed.handled, [])
  }
)

const honest = new CountedEcho()
attack(
  'F7 where the app turns compression on, what is compressed honestly is handled',
  { plugin: manyRequests, declare: honest.declare },
  async (t, { app }) => {
    const raw = await beginRaw(t, app, { headers })
    assertIsOpen(raw, await raw.answer)
    raw.write(frame({ rsv: COMPRESSED, payload: compress(JSON.stringify(echo('compressed'))) }), messageFrame(echo('plain')))
    raw.write(...fragments(JSON.stringify(echo('in fragments')).slice(0, 5), JSON.stringify(echo('in fragments')).slice(5)))
    await raw.flushed()
    t.same(honest.handled, ['compressed', 'plain', 'in fragments'])
    raw.write(frame({ rsv: COMPRESSED, payload: 'this is no deflate' }))
    t.match(await raw.closed, { code: 1007 }, 'garbage is not')
    raw.raw.socket.destroy()
    await until(() => Object(app.wsTicket.stats().totals.routes['/echo']?.closes)[1007] === 1)
    const plain = await openRaw(t, app)
    t.match(await plain.request('echo', { text: 'offers nothing' }), { type: '$reply' })
  }
)

attack(
  'F7 an offer of compression that is malformed is refused with 400, and the ticket is not burnt',
  { plugin: manyRequests },
  async (t, { app, port }) => {
    for (const offer of ['permessage-deflate;;=,,', 'permessage-deflate; server_max_window_bits=99', 'permessage-deflate; what=1']) {
      const ticket = await issueTicket(app, '/echo')
      const refused = await refusedUpgrade(t, port, '/echo', ticket, { 'Sec-WebSocket-Extensions': offer })
      t.equal(refused.status, 400, offer)
      const again = await beginRaw(t, app, { ticket })
      t.match(await again.answer, /^HTTP\/1\.1 101 /, `${offer}: the ticket is still good`)
      again.raw.socket.destroy()
    }
  }
)
