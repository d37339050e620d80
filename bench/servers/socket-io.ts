/** Socket.IO over WebSocket alone; it believes what it is sent. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { answer } from '../answer.js'
import { NEWS_TEXT } from '../settings.js'
import { fanOut } from './fan-out.js'
import { portOf } from './port.js'

const server = createServer()
const io = new Server(server, { transports: ['websocket'] })
io.on('connection', (socket) => {
  socket.join('all')
  socket.on('echo', ({ text }: { text: string }, reply: (payload: object) => void) => reply({ text }))
})
server.listen(0, '127.0.0.1', 1024)
await once(server, 'listening')
answer(
  { port: portOf(server) },
  fanOut(() => io.to('all').emit('news', { text: NEWS_TEXT }))
)
