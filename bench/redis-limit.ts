import { compare, type Part, type Result } from './compare.js'
import { EchoLoad } from './echo-load.js'
import { MeasuredRedis } from './redis-server.js'
import { ServerProcess } from './server-process.js'

const CONNECTIONS = 64
const ROUNDS = 7
const RUN_MS = 2000

/** What it costs to share the limit of a message per user among nodes. */
export const redisLimit: Part = {
  title: `Messages with a limit per user, ${CONNECTIONS} connections, one in flight each`,
  unit: 'per second',
  async measure(): Promise<Result[]> {
    const redis = await MeasuredRedis.start()
    const servers = [await ServerProcess.start('limited-server.ts'), await ServerProcess.start('limited-server.ts', String(redis.port))]
    const loads = await Promise.all(servers.map((server) => EchoLoad.connect(server, CONNECTIONS)))
    const [alone, shared] = loads
    try {
      if (!alone || !shared) throw new Error('there is no server')
      return await compare(
        [
          { name: 'counted by the node alone', run: () => alone.run('limited', RUN_MS) },
          { name: 'counted in Redis, for all nodes', run: () => shared.run('limited', RUN_MS) },
          { name: 'the same without a limit per user, with Redis', run: () => shared.run('echo', RUN_MS) }
        ],
        ROUNDS
      )
    } finally {
      for (const load of loads) load.close()
      for (const server of servers) await server.stop()
      await redis.stop()
    }
  }
}
