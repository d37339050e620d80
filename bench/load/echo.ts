import type { Answer } from '../program.js'
import type { Client } from './client.js'
import { textFrame } from './frames.js'
import { Latencies } from './latencies.js'
import type { Wire } from './wires.js'

export interface EchoAsked {
  readonly type: string
  readonly inFlight: number
  readonly forMs: number
}

/** Keeps so many messages in flight on each connection for a while; answers how many replies came, and how long they took. */
export async function echo(wire: Wire, clients: readonly Client[], { type, inFlight, forMs }: EchoAsked): Promise<Answer> {
  const { message, reply } = wire.echo(type)
  const batch = Buffer.concat(Array.from({ length: inFlight }, () => textFrame(message)))
  const latencies = new Latencies()
  const start = performance.now()
  const until = start + forMs
  const counts = await Promise.all(clients.map((client) => talk(client, { batch, inFlight, until, length: reply.length, latencies })))
  const replies = counts.reduce((sum, count) => sum + count, 0)
  return { replies, ms: performance.now() - start, p50Ms: latencies.quantile(0.5), p99Ms: latencies.quantile(0.99) }
}

interface Talk {
  /** As many messages as are kept in flight. */
  readonly batch: Buffer
  readonly inFlight: number
  readonly until: number
  readonly length: number
  readonly latencies: Latencies
}

/** As many replies as a read brings are answered with as many messages, in one write. Resolves when all are answered. */
function talk(client: Client, { batch, inFlight, until, length, latencies }: Talk): Promise<number> {
  const messageBytes = batch.length / inFlight
  let replies = 0
  let missing = inFlight
  let sentAt = performance.now()
  return new Promise((resolve, reject) => {
    client.count(length, reject)
    client.onFrames = (frames) => {
      const now = performance.now()
      // with more in flight it is not known which one was answered
      if (inFlight === 1) latencies.add(now - sentAt)
      replies += frames
      missing -= frames
      if (now < until) {
        sentAt = now
        missing += frames
        client.write(batch.subarray(0, frames * messageBytes))
      } else if (missing === 0) resolve(replies)
    }
    client.write(batch)
  })
}
