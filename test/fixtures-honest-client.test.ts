import { once } from 'node:events'
import t, { type Test } from 'tap'
import WebSocket, { WebSocketServer } from 'ws'
import { buildApp } from './fixtures/app.js'
import { Client, connect, connectInjected, listen } from './fixtures/client.js'
import { declareHonestRoute, HONEST_PATH, HonestClient } from './fixtures/honest-client.js'

const PATIENCE_MS = 200

interface Sent {
  readonly type: string
  readonly [name: string]: unknown
}

/** What a server that misbehaves does instead of sending a frame; `socket` is its side of the connection. */
type Instead = (frame: Sent, socket: WebSocket) => void

function send(frame: Sent, socket: WebSocket): void {
  socket.send(JSON.stringify(frame))
}

/** An honest client of a real WebSocket server, which answers the third beat otherwise than it should. */
async function talkTo(t: Test, instead: Instead): Promise<HonestClient> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.teardown(() => {
    for (const socket of server.clients) socket.terminate()
    server.close()
  })
  await once(server, 'listening')
  server.on('connection', (socket) => {
    send({ type: '$welcome' }, socket)
    socket.on('message', (data) => {
      const { id, payload } = JSON.parse(String(data))
      answer({ type: '$reply', id, payload }, id, socket)
    })
  })
  const route = {
    publish(topic: string, type: string, payload: { n: number }) {
      for (const socket of server.clients) answer({ type, topic, payload }, payload.n, socket)
      return { delivered: server.clients.size }
    }
  }
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it does not listen')
  const socket = new WebSocket(`ws://127.0.0.1:${address.port}`)
  t.teardown(() => socket.terminate())
  const honest = new HonestClient(new Client(socket), route, PATIENCE_MS)
  await once(socket, 'open')
  return honest

  function answer(frame: Sent, n: number, socket: WebSocket): void {
    if (n === 3) instead(frame, socket)
    else send(frame, socket)
  }
}

/** What an honest client says of such a server, after it has had the time for five beats. */
async function faultsOf(t: Test, instead: Instead): Promise<string[]> {
  const honest = await talkTo(t, instead)
  honest.start()
  for (let beats = 0; beats < 3; beats++) await honest.beat()
  return await honest.stop()
}

/** Does something else instead of one type of frame. */
function insteadOf(type: string, misbehave: Instead): Instead {
  return (frame, socket) => (frame.type === type ? misbehave : send)(frame, socket)
}

const twice: Instead = (frame, socket) => {
  send(frame, socket)
  send(frame, socket)
}
const never: Instead = () => {}
const wrongPayload: Instead = (frame, socket) => send({ ...frame, payload: { n: 30 } }, socket)

const tick = '{"type":"tick","topic":"honest","payload":{"n":3}}'
const reply = '{"type":"$reply","id":3,"payload":{"n":3}}'

const otherId: Instead = (frame, socket) => send({ ...frame, id: 2 }, socket)
const otherTopic: Instead = (frame, socket) => send({ ...frame, topic: 'other' }, socket)
const leave: Instead = (_frame, socket) => socket.close(4403)
const breakOff: Instead = (_frame, socket) => socket.terminate()
const withNotice: Instead = (frame, socket) => {
  send({ type: '$expiring', payload: { expiresAt: 1 } }, socket)
  send(frame, socket)
}

const misbehaviours: readonly (readonly [title: string, instead: Instead, faults: string[]])[] = [
  ['a lost reply', insteadOf('$reply', never), [`${reply} was due; A frame did not come within ${PATIENCE_MS} ms; nothing else came.`]],
  ['a lost event', insteadOf('tick', never), [`${tick} was due, ${reply} came`]],
  ['a doubled event', insteadOf('tick', twice), [`${reply} was due, ${tick} came`]],
  ['a reply with a wrong payload', insteadOf('$reply', wrongPayload), [`${reply} was due, ${reply.replace(':3}', ':30}')} came`]],
  ['an event with a wrong payload', insteadOf('tick', wrongPayload), [`${tick} was due, ${tick.replace(':3}', ':30}')} came`]],
  ['a reply to another message', insteadOf('$reply', otherId), [`${reply} was due, ${reply.replace('"id":3', '"id":2')} came`]],
  ['an event of another topic', insteadOf('tick', otherTopic), [`${tick} was due, ${tick.replace('honest', 'other')} came`]],
  [
    'a connection that is closed',
    insteadOf('$reply', leave),
    [`${reply} was due; A frame did not come: closed with 4403 ''; nothing else came.`]
  ],
  ['a line that breaks', insteadOf('tick', breakOff), [`${tick} was due; A frame did not come: closed with 1006 ''; nothing else came.`]]
]

for (const [title, instead, faults] of misbehaviours) {
  t.test(`${title} is told`, async (t) => {
    const [first, ...more] = await faultsOf(t, instead)
    t.same([first], faults)
    // what came after the first fault was not asked for
    for (const fault of more) t.match(fault, /^\d frames too many$/)
  })
}

t.test('a doubled reply is told, if only by what comes next', async (t) => {
  const [fault] = await faultsOf(t, insteadOf('$reply', twice))
  t.equal(fault, `${tick.replace(':3}', ':4}')} was due, ${reply} came`)
})

t.test('who answers as one should is not told of, nor is the notice that a session nears its end', async (t) => {
  t.same(await faultsOf(t, send), [])
  t.same(await faultsOf(t, withNotice), [])
})

t.test('what goes wrong in publishing is told', async (t) => {
  const fail: Instead = () => {
    throw new Error('not published')
  }
  t.same(await faultsOf(t, insteadOf('tick', fail)), ['not published'])
})

t.test('one that never began was never answered', async (t) => {
  const honest = await talkTo(t, send)
  t.match(await honest.stop(), ['it was never answered'])
})

t.test('one whose connection is closed before it is asked is told of, and holds nobody up', async (t) => {
  const app = await buildApp(t)
  const route = declareHonestRoute(app)
  await app.ready()
  const client = await connectInjected(app, HONEST_PATH)
  const honest = new HonestClient(client, route)
  honest.start()
  await honest.beat()
  await route.disconnect({ all: true })
  await honest.beat()
  t.match(await honest.stop(), [/was due; A frame did not come: closed with 4403/])
})

t.test('with the route of an app it is answered and loses nothing', async (t) => {
  const app = await buildApp(t)
  const route = declareHonestRoute(app)
  await listen(app)
  const honest = new HonestClient(await connect(t, app, HONEST_PATH), route)
  honest.start()
  for (let beats = 0; beats < 5; beats++) await honest.beat()
  t.same(await honest.stop(), [])
})
