import { attack } from '../fixtures/attack.js'
import { CountedEcho, echo, manyRequests } from '../fixtures/counted-echo.js'
import { beginRaw, frame, openRaw } from '../fixtures/frames.js'

const OFFERS = [
  'permessage-deflate',
  'permessage-deflate; client_max_window_bits',
  'permessage-deflate; server_max_window_bits=15; client_no_context_takeover, permessage-deflate',
  'x-webkit-deflate-frame',
  'permessage-deflate; server_max_window_bits=99',
  'permessage-deflate;;=,,"'
]

const echoes = new CountedEcho()
attack('F7 compression that is offered is not negotiated', { plugin: manyRequests, declare: echoes.declare }, async (t, { app }) => {
  for (const offer of OFFERS) {
    const raw = await beginRaw(t, app, { headers: { 'Sec-WebSocket-Extensions': offer } })
    const answer = await raw.answer
    t.match(answer, /^HTTP\/1\.1 101 /, offer)
    t.notMatch(answer, /sec-websocket-extensions/i, offer)
    t.match(await raw.next(), { type: '$welcome' })
    t.match(await raw.request('echo', { text: 'plain' }), { type: '$reply', payload: { text: 'plain' } })
    t.same(
      raw.unread.map(({ rsv }) => rsv),
      [],
      'nothing comes compressed'
    )
    raw.write(frame({ rsv: 4, payload: JSON.stringify(echo('compressed')) }))
    t.match(await raw.closed, { code: 1002 }, 'what claims to be compressed is against the protocol')
  }
  t.same(
    echoes.handled,
    OFFERS.map(() => 'plain')
  )
  const raw = await openRaw(t, app)
  t.match(await raw.request('echo', { text: 'offers nothing' }), { type: '$reply' })
})
