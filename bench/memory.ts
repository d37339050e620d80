import { setTimeout as delay } from 'node:timers/promises'
import { compare, type Part, type Table } from './compare.js'
import { Program } from './program.js'

const CONNECTIONS = 5000
const ROUNDS = 3
/** Each run has a server of its own. */
const WARM_UPS = 0
const WARM_UP = 500
/** For what is done in rounds after a connection, and for the collector. */
const REST_MS = 1000

const TICKET = 'fastify-ws-ticket: session, limits, heartbeat'
const TOPICS = 1000
const MEMBERS = 1000

const CONTENDERS = [
  { name: 'bare ws', file: 'ws.ts', opener: 'bare' },
  { name: TICKET, file: 'ticket-many.ts', opener: 'ticket' },
  { name: '@fastify/websocket, token bucket', file: 'fastify-websocket.ts', opener: 'bare' },
  { name: 'Socket.IO, JWT in a middleware', file: 'socket-io-auth.ts', opener: 'socket.io' }
]

/** What idle connections and subscriptions hold of the server's memory, after a collection. */
export const memory: Part = {
  needs: true,
  async measure(): Promise<Table[]> {
    const connections = CONTENDERS.map(({ name, file, opener }) => ({ name, run: () => perConnection(file, opener) }))
    return [
      {
        title: `Memory (RSS) of an idle connection, ${CONNECTIONS.toLocaleString('en-US')} open`,
        unit: 'KiB',
        results: await compare(connections, ROUNDS, WARM_UPS),
        targets: [{ name: TICKET, atMost: 1.15 }]
      },
      {
        title: `Memory (RSS) of a subscription, ${MEMBERS} connections to ${TOPICS} topics each`,
        unit: 'KiB',
        results: await compare(
          [
            { name: 'the same topics for all', run: () => perSubscription(false) },
            { name: 'topics of its own for each: a million in all', run: () => perSubscription(true) }
          ],
          ROUNDS,
          WARM_UPS
        )
      }
    ]
  }
}

async function perConnection(file: string, opener: string): Promise<number> {
  return await withPrograms(file, async (server, load) => {
    await load.ask('hold', { opener, port: server.port, count: WARM_UP })
    const before = await restedKib(server)
    await load.ask('hold', { opener, port: server.port, count: CONNECTIONS })
    return ((await restedKib(server)) - before) / CONNECTIONS
  })
}

async function perSubscription(areOwn: boolean): Promise<number> {
  return await withPrograms('ticket-many.ts', async (server, load) => {
    await load.ask('hold', { opener: 'ticket', port: server.port, count: MEMBERS })
    const before = await restedKib(server)
    await server.ask('subscribe', { topics: TOPICS, areOwn })
    return ((await restedKib(server)) - before) / (MEMBERS * TOPICS)
  })
}

async function restedKib(server: Program): Promise<number> {
  await delay(REST_MS)
  const { rssKib = Number.NaN } = await server.ask('memory')
  return rssKib
}

/** A server that has done nothing before, since memory is seldom given back. */
async function withPrograms(file: string, measure: (server: Program, load: Program) => Promise<number>): Promise<number> {
  const programs = [await Program.start(`servers/${file}`), await Program.start('load/main.ts')] as const
  try {
    return await measure(...programs)
  } finally {
    for (const program of programs) await program.stop()
  }
}
