import { type Contender, compare, type Part, type Table } from './compare.js'
import { Program } from './program.js'
import { Target } from './target.js'

const CONNECTIONS = 64
const ROUNDS = 9
const RUN_MS = 1000

const TICKET = 'fastify-ws-ticket'
const LATER = 'fastify-ws-ticket, async handler'
const WS = 'bare ws'
const FASTIFY_WEBSOCKET = '@fastify/websocket, schema, token bucket'
const SOCKET_IO = 'Socket.IO'

/** A message and its reply, over a connection that is open. */
export const echo: Part = {
  needs: true,
  async measure(): Promise<Table[]> {
    const load = await Program.start('load/main.ts')
    const [ws, ticket, fastifyWebsocket, socketIo] = await Promise.all([
      Target.start(load, 'ws.ts', 'bare', CONNECTIONS),
      Target.start(load, 'ticket.ts', 'ticket', CONNECTIONS),
      Target.start(load, 'fastify-websocket.ts', 'bare', CONNECTIONS),
      Target.start(load, 'socket-io.ts', 'socket.io', CONNECTIONS)
    ])
    const contenders = (inFlight: number): Contender[] => [
      { name: WS, run: () => ws.echo('echo', inFlight, RUN_MS) },
      { name: TICKET, run: () => ticket.echo('echo', inFlight, RUN_MS) },
      { name: LATER, run: () => ticket.echo('later', inFlight, RUN_MS) },
      { name: FASTIFY_WEBSOCKET, run: () => fastifyWebsocket.echo('echo', inFlight, RUN_MS) },
      { name: SOCKET_IO, run: () => socketIo.echo('echo', inFlight, RUN_MS) }
    ]
    try {
      return [
        {
          title: `Echo of 150 bytes, ${CONNECTIONS} connections, one in flight each`,
          unit: 'per second',
          results: await compare(contenders(1), ROUNDS),
          targets: [
            { name: TICKET, atLeast: 1 },
            { name: TICKET, to: SOCKET_IO, atLeast: 1.15 },
            { name: TICKET, of: 'p99', atMost: 1 },
            { name: LATER, to: TICKET, atLeast: 0.9 }
          ]
        },
        {
          title: `Echo of 150 bytes, ${CONNECTIONS} connections, 16 in flight each`,
          unit: 'per second',
          results: await compare(contenders(16), ROUNDS),
          targets: [
            { name: TICKET, atLeast: 3 },
            { name: TICKET, to: SOCKET_IO, atLeast: 3.5 },
            { name: LATER, to: TICKET, atLeast: 0.9 }
          ]
        }
      ]
    } finally {
      for (const target of [ws, ticket, fastifyWebsocket, socketIo]) await target.stop()
      await load.stop()
    }
  }
}
