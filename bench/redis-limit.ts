import { compare, type Part, type Table } from './compare.js'
import { EchoLoad } from './echo-load.js'
import { Program } from './program.js'
import { MeasuredRedis } from './redis-server.js'

const CONNECTIONS = 64
const ROUNDS = 7
const RUN_MS = 2000

/** What it costs to share the limit of a message per user among nodes. */
export const redisLimit: Part = {
  async measure(): Promise<Table[]> {
    const redis = await MeasuredRedis.start()
    const servers = [await Program.start('servers/limited.ts'), await Program.start('servers/limited.ts', String(redis.port))]
    const loads = await Promise.all(servers.map((server) => EchoLoad.connect(server, CONNECTIONS)))
    const [alone, shared] = loads
    try {
      if (!alone || !shared) throw new Error('there is no server')
      const results = await compare(
        [
          { name: 'counted by the node alone', run: () => alone.run('limited', RUN_MS) },
          { name: 'counted in Redis, for all nodes', run: () => shared.run('limited', RUN_MS) },
          { name: 'the same without a limit per user, with Redis', run: () => shared.run('echo', RUN_MS) }
        ],
        ROUNDS
      )
      return [{ title: `Messages with a limit per user, ${CONNECTIONS} connections, one in flight each`, unit: 'per second', results }]
    } finally {
      for (const load of loads) load.close()
      for (const server of servers) await server.stop()
      await redis.stop()
    }
  }
}
