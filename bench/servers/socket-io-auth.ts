/** Socket.IO with a middleware that verifies the JWT of the connection: as it comes, or with the argument `websocket` over WebSocket alone. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createVerifier } from 'fast-jwt'
import { Server } from 'socket.io'
import { answer } from '../answer.js'
import { SECRET } from '../settings.js'
import { portOf } from './port.js'

const verify = createVerifier({ key: SECRET })
const server = createServer()
const io = new Server(server, process.argv[2] === 'websocket' ? { transports: ['websocket'] } : {})
io.use((socket, next) => {
  try {
    socket.data.user = verify(socket.handshake.auth.token)
    next()
  } catch {
    next(new Error('unauthorized'))
  }
})
server.listen(0, '127.0.0.1', 1024)
await once(server, 'listening')
answer({ port: portOf(server) })
