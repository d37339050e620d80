import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { RedisServer } from '../fixtures/redis-server.js'
import { until } from '../fixtures/until.js'
import { type Chat, connect, enter, logIn, post, startChat } from './start-chat.js'

const server = await RedisServer.start(t)
const env = {
  REDIS_URL: `redis://127.0.0.1:${server.port}`,
  JWT_SECRET: 'a secret of the tests that is long enough',
  // each is asked as if it were behind the one address of both
  ALLOWED_ORIGINS: 'https://chat.example'
}
const [here, there] = await Promise.all([behindProxy(await startChat(t, env)), behindProxy(await startChat(t, env))])

/** Its pages come from the proxy's address. */
function behindProxy(chat: Chat): Chat {
  return { ...chat, pageOrigin: env.ALLOWED_ORIGINS }
}

t.test('two processes with one Redis are one chat', async (t) => {
  const ann = await enter(t, here, 'ann')
  const bob = await enter(t, there, 'bob')
  t.strictSame((await ann.request('room.join', { room: 'tea' })).payload, { members: ['ann'] })
  // a Redis that a busy machine keeps from answering in time is done without
  await until(async () => {
    await ann.request('room.join', { room: 'tea' })
    const { payload } = await bob.request('room.join', { room: 'tea' })
    return isDeepStrictEqual(payload, { members: ['ann', 'bob'] })
  })
  const token = await logIn(here, 'robot')
  t.equal(
    (await post(there, '/rooms/tea/messages', { token, body: { text: 'Released.' } })).status,
    202,
    'a token of one is good at the other'
  )
  for (const client of [ann, bob])
    t.match(await client.next(), { type: 'chat.message', payload: { room: 'tea', from: 'robot', text: 'Released.' } })
})

t.test('a log-out at one closes what is open at the other', async (t) => {
  const token = await logIn(here, 'cid')
  const { client } = await connect(t, there, token)
  t.equal((await post(here, '/logout', { token })).status, 204)
  t.match(await client.closed, { code: 4403 })
})

t.test('SIGTERM while Redis hangs: it ends in order all the same', async (t) => {
  const hanging = await RedisServer.start(t)
  const chat = behindProxy(await startChat(t, { ...env, REDIS_URL: `redis://127.0.0.1:${hanging.port}` }))
  const client = await enter(t, chat, 'ann')
  for (let room = 0; room < 20; room++) await client.request('room.join', { room: `room${room}` })
  hanging.stop()
  const ended = chat.stop('SIGTERM')
  t.match(await client.closed, { code: 1012 })
  t.match(await ended, { code: 0 })
  hanging.continue()
})

t.test('with an address of no Redis that can be used it does not start', async (t) => {
  await t.rejects(startChat(t, { ...env, REDIS_URL: 'localhost:6379' }), { message: /REDIS_URL is no address/ })
})
