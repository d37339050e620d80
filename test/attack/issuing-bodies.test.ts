import type { Test } from 'tap'
import { bearer, ORIGIN } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { connectFrom, postTicket } from '../fixtures/attacker.js'
import { requestBytes } from '../fixtures/raw-socket.js'
import { parseAnswer } from '../fixtures/upgrade.js'

const plugin = { issuePerIp: { max: 1000, timeWindow: 60_000 }, issuePerUser: { max: 1000, timeWindow: 60_000 } }
const MIB = 1_048_576
const nested = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth)

/** Begins a body, and goes on with it once the answer is there: who writes on is reset, and may not have read it. */
async function statusOfLarge(t: Test, { app, port }: Scene, lengthHeader: Record<string, string>, body: string): Promise<number> {
  const raw = await connectFrom(t, port)
  const headers = { Host: 'localhost', Origin: ORIGIN, 'Content-Type': 'application/json', ...bearer(app), ...lengthHeader }
  raw.write(requestBytes('POST /echo/ticket HTTP/1.1', { Connection: 'close', ...headers }) + body.slice(0, 65_536))
  const answered = await raw.until('\r\n\r\n')
  raw.write(body.slice(65_536))
  await raw.ended
  return parseAnswer(answered).status
}

attack('A10 a body of 2 MB is answered 413', { plugin }, async (t, scene) => {
  const { tickets } = scene.app.wsTicket.stats()
  const bodies = {
    text: JSON.stringify({ refresh: 'x'.repeat(2 * MIB) }),
    nesting: nested('[', ']', MIB),
    blanks: `{}${' '.repeat(2 * MIB)}`
  }
  for (const [name, body] of Object.entries(bodies)) {
    const size = Buffer.byteLength(body)
    t.equal(await statusOfLarge(t, scene, { 'Content-Length': String(size) }, body), 413, `2 MB of ${name}`)
    const chunked = `${size.toString(16)}\r\n${body}\r\n0\r\n\r\n`
    t.equal(await statusOfLarge(t, scene, { 'Transfer-Encoding': 'chunked' }, chunked), 413, `2 MB of ${name}, its length not told`)
  }
  t.equal((await postTicket(t, scene.app, '/echo', { body: `{}${' '.repeat(4095)}` })).status, 413, 'one byte more than allowed')
  t.equal(scene.app.wsTicket.stats().tickets, tickets, 'nothing is issued')
  t.equal((await postTicket(t, scene.app, '/echo', { body: `{}${' '.repeat(4094)}` })).status, 201, 'as much as is allowed')
})

attack('A10 deep JSON is answered 400', { plugin }, async (t, { app }) => {
  const { tickets } = app.wsTicket.stats()
  const bodies = {
    lists: nested('[', ']', 2040),
    objects: nested('{"a":', '}', 580).replace(':}', ':1}'),
    'lists where a text is due': `{"refresh":${nested('[', ']', 2000)}}`,
    'lists of prototypes': `{"refresh":${nested('[{"__proto__":', '}]', 200).replace(':}', ':1}')}}`,
    'nesting without an end': '['.repeat(4000)
  }
  for (const [name, body] of Object.entries(bodies)) {
    t.match(await postTicket(t, app, '/echo', { body }), { status: 400, body: { statusCode: 400 } }, name)
  }
  t.equal(app.wsTicket.stats().tickets, tickets, 'nothing is issued')
  t.equal((await postTicket(t, app, '/echo', { body: '{}' })).status, 201, 'the same user with an honest body')
})
