import type { Program } from './program.js'

export interface CpuUse {
  /** CPU time of the server. */
  readonly cpuMs: number
  /** Had what loads it as much to do as the server, so that it was the bottleneck? */
  readonly isLoadBound: boolean
}

/** Follows the CPU time of a server and of what loads it. Returns what ends that, and answers. */
export async function watchCpu(server: Program, load: Program): Promise<() => Promise<CpuUse>> {
  const before = await cpuOf(server, load)
  return async () => {
    const after = await cpuOf(server, load)
    const cpuMs = after.server - before.server
    return { cpuMs, isLoadBound: after.load - before.load >= cpuMs }
  }
}

async function cpuOf(server: Program, load: Program) {
  const [{ ms: ofServer = 0 }, { ms: ofLoad = 0 }] = await Promise.all([server.ask('cpu'), load.ask('cpu')])
  return { server: ofServer, load: ofLoad }
}
