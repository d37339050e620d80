/** A bare `ws` server, as one writes it by hand: it believes what it is sent. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { answer } from '../answer.js'
import { NEWS_TEXT } from '../settings.js'
import { fanOut } from './fan-out.js'
import { portOf } from './port.js'

const server = createServer()
const sockets = new WebSocketServer({ server })
sockets.on('connection', (socket) => {
  socket.on('message', (data) => {
    const { type, id, payload } = JSON.parse(String(data))
    if (type === 'echo') socket.send(JSON.stringify({ type: '$reply', id, payload: { text: payload.text } }))
  })
})

server.listen(0, '127.0.0.1', 1024)
await once(server, 'listening')
answer(
  { port: portOf(server) },
  fanOut(() => {
    const frame = JSON.stringify({ type: 'news', topic: 'all', payload: { text: NEWS_TEXT } })
    for (const socket of sockets.clients) socket.send(frame)
  })
)
