import type { Reading } from './compare.js'
import { Program } from './program.js'
import { watchCpu } from './watch-cpu.js'

/** A server that is measured, with connections to it that are open. */
export class Target {
  readonly #server: Program
  readonly #load: Program
  readonly #group: number

  private constructor(server: Program, load: Program, group: number) {
    this.#server = server
    this.#load = load
    this.#group = group
  }

  /**
   * @param file of servers/
   * @param wire how to talk to it: one of load/wires.ts
   */
  static async start(load: Program, file: string, wire: string, connections: number): Promise<Target> {
    const server = await Program.start(`servers/${file}`)
    const { group = 0 } = await load.ask('open', { wire, port: server.port, connections })
    return new Target(server, load, group)
  }

  async echo(type: string, inFlight: number, forMs: number): Promise<Reading> {
    const watch = await watchCpu(this.#server, this.#load)
    const { replies = 0, ms = 0, p99Ms = 0 } = await this.#load.ask('echo', { group: this.#group, type, inFlight, forMs })
    const { cpuMs, isLoadBound } = await watch()
    const perCpuSecond = (replies / cpuMs) * 1000
    return { perSecond: (replies / ms) * 1000, perCpuSecond, isLoadBound, ...(inFlight === 1 && { p99Ms }) }
  }

  /** What its connections read of a fan-out is told to it from now on, so that it is no faster than they. */
  async startReading(): Promise<void> {
    await this.#load.ask('read', { group: this.#group })
    this.#load.onNews = chain(this.#load.onNews, ({ group, events }) => {
      if (group === this.#group) void this.#server.ask('read', { events })
    })
  }

  async fanOut(connections: number, perTurn: number, forMs: number): Promise<Reading> {
    const watch = await watchCpu(this.#server, this.#load)
    const { published = 0, ms = 0 } = await this.#server.ask('publish', { perTurn, forMs })
    const { cpuMs, isLoadBound } = await watch()
    const { untold = 0 } = await this.#load.ask('settled', { group: this.#group, events: published })
    await this.#server.ask('read', { events: untold })
    const deliveries = published * connections
    return { perSecond: (deliveries / ms) * 1000, perCpuSecond: (deliveries / cpuMs) * 1000, isLoadBound }
  }

  async stop(): Promise<void> {
    await this.#load.ask('close', { group: this.#group })
    await this.#server.stop()
  }
}

function chain<News>(first: (news: News) => void, second: (news: News) => void): (news: News) => void {
  return (news) => {
    first(news)
    second(news)
  }
}
