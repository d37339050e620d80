import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Answers } from '../answer.js'

/** How many events the readers may be behind: few enough for the buffers of the system, whose filling is not to be measured. */
const WINDOW = 64

interface Asked {
  readonly perTurn: number
  readonly forMs: number
}

/** Answers the questions of a fan-out: publishes as fast as readers read. */
export function fanOut(publish: () => void): Answers {
  let unread = 0
  let resume = () => {}
  return {
    /** So many events have been read by everybody. */
    read({ events }: { readonly events: number }) {
      unread -= events
      resume()
      return {}
    },
    async publish({ perTurn, forMs }: Asked) {
      const start = performance.now()
      let published = 0
      while (performance.now() - start < forMs) {
        for (let i = 0; i < perTurn; i++) publish()
        published += perTurn
        unread += perTurn
        if (unread < WINDOW) await nextTurn()
        else await new Promise<void>((resolve) => (resume = resolve))
      }
      return { published, ms: performance.now() - start }
    }
  }
}
