import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { echoContract, echoHandlers } from '../fixtures/app.js'
import { attack, type Scene } from '../fixtures/attack.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { frame, messageFrame, Opcode, openRaw, type RawClient, type ServerFrame } from '../fixtures/frames.js'
import { countServerSockets, untilServerSockets } from '../fixtures/server-sockets.js'
import { as } from '../fixtures/timed-app.js'

const INTERVAL_MS = 5000
const TIMEOUT_MS = 3000
const CLOSE_TIMEOUT_MS = 2000

const options = {
  timed: true,
  plugin: { ...manyRequests, pingInterval: INTERVAL_MS, pongTimeout: TIMEOUT_MS, closeTimeout: CLOSE_TIMEOUT_MS },
  declare: (app: FastifyInstance) => app.wsRoute('/echo', { contract: echoContract, handlers: echoHandlers })
}

/** What a client sends each second, given the pings that came so far. */
type Talk = (pings: Buffer[]) => Buffer[]

const pong = (payload: Buffer | string) => frame({ opcode: Opcode.pong, payload })

const talks: Record<string, Talk> = {
  nothing: () => [],
  'empty pongs': () => [pong('')],
  'pongs of its own': () => [pong('12345678'), pong(Buffer.alloc(8)), pong(Buffer.alloc(125))],
  'the beginning of the ping': (pings) => pings.map((ping) => pong(ping.subarray(0, -1))),
  'the ping and something more': (pings) => pings.map((ping) => pong(Buffer.concat([ping, Buffer.from('x')]))),
  'the pong of the first ping only': (pings) => pings.slice(0, 1).map(pong),
  pings: () => [frame({ opcode: Opcode.ping, payload: 'hello' })],
  messages: () => [messageFrame({ type: 'note', payload: { text: 'still here' } })]
}

/** Talks for so many seconds, or until the server closes. */
async function talkFor(scene: Scene, client: RawClient, talk: Talk, seconds: number): Promise<ServerFrame[]> {
  for (let second = 0; second < seconds; second++) {
    client.write(...talk(pingsOf(client)))
    await scene.advance(1000)
  }
  return client.unread
}

function pingsOf({ unread }: RawClient): Buffer[] {
  return unread.filter(({ opcode }) => opcode === Opcode.ping).map(({ payload }) => payload)
}

async function tryTalk(t: Test, scene: Scene, talk: Talk, seconds: number): Promise<RawClient> {
  const client = await openRaw(t, scene.app, { request: as({ sub: 'ann' }), localAddress: '127.0.0.9' })
  await talkFor(scene, client, talk, seconds)
  return client
}

for (const [what, talk] of Object.entries(talks)) {
  attack(`E8 a client that answers pings with ${what} is terminated`, options, async (t, scene) => {
    const before = await countServerSockets(scene.app)
    // the first ping may be answered, a second one never is
    const client = await tryTalk(t, scene, talk, (2 * INTERVAL_MS + TIMEOUT_MS) / 1000 + 1)
    t.match(await client.closed, { code: 4408, reason: 'no pong' })
    await scene.advance(CLOSE_TIMEOUT_MS)
    await untilServerSockets(scene.app, before)
    await client.raw.ended
  })
}

attack('E8 a client that answers with the ping of another connection is terminated, and that one stays', options, async (t, scene) => {
  const reader = await openRaw(t, scene.app, { request: as({ sub: 'ann' }), localAddress: '127.0.0.9' })
  const deaf = await openRaw(t, scene.app, { request: as({ sub: 'ann' }), localAddress: '127.0.0.9' })
  for (let second = 0; second < (2 * INTERVAL_MS + TIMEOUT_MS) / 1000 + 1; second++) {
    const pongs = pingsOf(reader).slice(-1).map(pong)
    reader.write(...pongs)
    deaf.write(...pongs)
    await scene.advance(1000)
  }
  t.match(await deaf.closed, { code: 4408, reason: 'no pong' })
  t.match(await reader.request('echo', { text: 'still here' }), { type: '$reply' })
})

attack('E8 a client that answers each ping with its own pong stays', options, async (t, scene) => {
  const client = await tryTalk(t, scene, (pings) => pings.slice(-1).map(pong), (4 * INTERVAL_MS) / 1000)
  t.ok(pingsOf(client).length >= 3)
  t.match(await client.request('echo', { text: 'still here' }), { type: '$reply' })
})
