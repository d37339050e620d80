/** The least that a fan-out can be with Node's streams: one frame for all, written to each socket, whatever becomes of it. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import { answer } from '../answer.js'
import { NEWS_TEXT } from '../settings.js'
import { fanOut } from './fan-out.js'
import { portOf } from './port.js'

const transports = new Set<Socket>()
const server = createServer()
const sockets = new WebSocketServer({ server })
sockets.on('connection', (socket, { socket: transport }) => {
  transports.add(transport)
  socket.on('close', () => transports.delete(transport))
})

/** A text of more than 125 and less than 65,536 bytes in one frame (RFC 6455, section 5.2). */
function frameOf(text: string): Buffer {
  const payload = Buffer.from(text)
  return Buffer.concat([Buffer.from([0x81, 126, payload.length >> 8, payload.length & 0xff]), payload])
}

server.listen(0, '127.0.0.1', 1024)
await once(server, 'listening')
answer(
  { port: portOf(server) },
  fanOut(() => {
    const frame = frameOf(JSON.stringify({ type: 'news', topic: 'all', payload: { text: NEWS_TEXT } }))
    for (const transport of transports) transport.write(frame)
  })
)
