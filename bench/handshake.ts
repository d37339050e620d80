import { compare, type Part, type Reading, type Table } from './compare.js'
import { Program } from './program.js'
import { watchCpu } from './watch-cpu.js'

const HANDSHAKES = 1500
const ROUNDS = 7

const TICKET = 'fastify-ws-ticket: ticket and upgrade'
const CACHED = "the same, with @fastify/jwt's cache"
const SOCKET_IO = 'Socket.IO as it comes, JWT in a middleware'
const SOCKET_IO_ALONE = 'Socket.IO over WebSocket alone, JWT in a middleware'

/** Who is compared: a server, and how to open connections to it. */
const CONTENDERS = [
  { name: 'bare ws, nobody is asked', file: 'ws.ts', opener: 'bare' },
  { name: TICKET, file: 'ticket-many.ts', opener: 'ticket' },
  { name: CACHED, file: 'ticket-many.ts', opener: 'ticket', argument: 'cache' },
  { name: 'Fastify: a ticket for everybody, and no guard', file: 'ticket-alone.ts', opener: 'ticket' },
  { name: '@fastify/websocket, nobody is asked', file: 'fastify-websocket.ts', opener: 'bare' },
  { name: '@fastify/websocket, JWT in the query', file: 'fastify-websocket-jwt.ts', opener: 'query' },
  { name: SOCKET_IO, file: 'socket-io-auth.ts', opener: 'polling' },
  { name: SOCKET_IO_ALONE, file: 'socket-io-auth.ts', opener: 'socket.io', argument: 'websocket' }
]

/** Connections that are opened, and reset at once. */
export const handshake: Part = {
  needs: true,
  async measure(): Promise<Table[]> {
    const load = await Program.start('load/main.ts')
    const servers: Program[] = []
    try {
      const contenders = []
      for (const { name, file, opener, argument } of CONTENDERS) {
        const server = await Program.start(`servers/${file}`, ...(argument === undefined ? [] : [argument]))
        servers.push(server)
        contenders.push({ name, run: () => openAll(load, server, opener) })
      }
      return [
        {
          title: 'Handshakes, 32 at a time; with a ticket: POST over a connection that is kept alive, HS256, and the upgrade',
          unit: 'per second',
          results: await compare(contenders, ROUNDS),
          targets: [
            { name: CACHED, atLeast: 0.4 },
            { name: TICKET, atLeast: 0.4 },
            { name: TICKET, to: SOCKET_IO, atLeast: 1.7 }
          ]
        }
      ]
    } finally {
      for (const program of [...servers, load]) await program.stop()
    }
  }
}

/** Opens and resets connections, one after another on each of some lanes. */
export async function openAll(load: Program, server: Program, opener: string, count = HANDSHAKES): Promise<Reading> {
  const watch = await watchCpu(server, load)
  const { opened = 0, ms = 0 } = await load.ask('handshakes', { opener, port: server.port, count })
  const { cpuMs, isLoadBound } = await watch()
  return { perSecond: (opened / ms) * 1000, perCpuSecond: (opened / cpuMs) * 1000, isLoadBound }
}
