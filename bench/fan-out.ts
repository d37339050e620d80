import { type Target as Aim, compare, type Part, type Table } from './compare.js'
import { Program } from './program.js'
import { Target } from './target.js'

const ROUNDS = 7
const RUN_MS = 1000

/** The load has the connections to all contenders, and 20,000 open files are what many systems give a process. */
const MAX_FOR_FOUR = 4000

const TICKET = 'fastify-ws-ticket'
const WS = 'bare ws, send(string) to each'
const BARE = 'one frame written to bare sockets'
const SOCKET_IO = 'Socket.IO, a room'

/** One event to many connections. */
export const fanOut: Part = {
  needs: true,
  async measure(): Promise<Table[]> {
    return [
      ...(await fanOutTo(1000, [
        { perTurn: 1, targets: [{ name: TICKET, atLeast: 1.35 }] },
        { perTurn: 8, targets: [{ name: TICKET, atLeast: 8 }] }
      ])),
      ...(await fanOutTo(5000, [{ perTurn: 1, targets: [{ name: TICKET, atLeast: 1.25 }] }]))
    ]
  }
}

interface Case {
  readonly perTurn: number
  readonly targets: readonly Aim[]
}

async function fanOutTo(connections: number, cases: readonly Case[]): Promise<Table[]> {
  const load = await Program.start('load/main.ts')
  const contenders = [
    { name: WS, target: await Target.start(load, 'ws.ts', 'bare', connections) },
    { name: TICKET, target: await Target.start(load, 'ticket.ts', 'ticket', connections) },
    { name: SOCKET_IO, target: await Target.start(load, 'socket-io.ts', 'socket.io', connections) }
  ]
  if (connections <= MAX_FOR_FOUR) contenders.push({ name: BARE, target: await Target.start(load, 'bare-sockets.ts', 'bare', connections) })
  try {
    for (const { target } of contenders) await target.startReading()
    const tables: Table[] = []
    for (const { perTurn, targets } of cases) {
      const runs = contenders.map(({ name, target }) => ({ name, run: () => target.fanOut(connections, perTurn, RUN_MS) }))
      const title = `Event of 200 bytes to ${connections} connections, ${perTurn === 1 ? 'one' : perTurn} per turn`
      tables.push({ title, unit: 'deliveries per second', results: await compare(runs, ROUNDS), targets })
    }
    return tables
  } finally {
    for (const { target } of contenders) await target.stop()
    await load.stop()
  }
}
