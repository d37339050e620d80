import type { Answer } from './program.js'

/** The answers to questions, by name. */
export type Answers = Readonly<Record<string, (details: never) => Answer | Promise<Answer>>>

const KIB = 1024

/** What every program can be asked: the CPU time that it has used, and its memory after a collection. */
const COMMON: Answers = {
  cpu() {
    const { user, system } = process.cpuUsage()
    return { ms: (user + system) / 1000 }
  },
  memory() {
    for (let i = 0; i < 3; i++) globalThis.gc?.()
    const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
    return { rssKib: rss / KIB, heapKib: heapUsed / KIB, externalKib: external / KIB, buffersKib: arrayBuffers / KIB }
  }
}

interface Question {
  readonly id: number
  readonly question: string
  readonly details: object
}

/** Makes this process a program of the benchmarks: it says that it is ready, and answers until it is told to end. */
export function answer(ready: Answer, own: Answers = {}): void {
  const answers = { ...COMMON, ...own }
  process.on('message', async ({ id, question, details }: Question) => {
    try {
      const found = answers[question]
      if (!found) throw new Error(`it does not know ${question}`)
      process.send?.({ id, answer: await Reflect.apply(found, undefined, [details]) })
    } catch (error) {
      process.send?.({ id, error: String(error) })
    }
  })
  process.once('SIGTERM', () => process.exit())
  // whoever asks is gone
  process.once('disconnect', () => process.exit())
  tell(ready)
}

/** Tells something unasked. */
export function tell(news: Answer): void {
  process.send?.({ news })
}
