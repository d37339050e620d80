import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What a program of the benchmarks answers: named numbers. */
export type Answer = Readonly<Record<string, number>>

interface Waiting {
  resolve(answer: Answer): void
  reject(error: Error): void
}

/** What a program says of itself, unasked. */
type Said = { readonly id?: number; readonly answer?: Answer; readonly error?: string; readonly news?: Answer }

/** Where each program leaves a profile of its CPU time when it ends, if this is set. */
const PROFILES = process.env.BENCH_PROFILES
const TYPES = fileURLToPath(new URL('load-types.mjs', import.meta.url))

/**
 * A program in a process of its own: a server that is measured, or what loads it. It is asked questions and answers with
 * numbers; the other end is answer.ts.
 */
export class Program {
  /** Told by the program in the beginning, a server's port for example. */
  readonly ready: Answer
  /** Called with what the program tells unasked. */
  onNews: (news: Answer) => void = () => {}
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #asked = 0

  private constructor(child: ChildProcess, ready: Answer) {
    this.#child = child
    this.ready = ready
    child.on('message', (said: Said) => this.#hear(said))
    child.once('exit', () => this.#fail('the program has ended'))
  }

  /** @param file a program of this folder */
  static async start(file: string, ...args: readonly string[]): Promise<Program> {
    const path = fileURLToPath(new URL(file, import.meta.url))
    const profiling = PROFILES === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${PROFILES}`]
    const child = fork(path, args, { execArgv: [...profiling, '--expose-gc', `--import=${TYPES}`] })
    const ready = await new Promise<Answer>((resolve, reject) => {
      child.once('message', ({ news }: Said) => resolve(news ?? {}))
      child.once('exit', (code) => reject(new Error(`${file} ended with ${code}`)))
    })
    return new Program(child, ready)
  }

  get port(): number {
    return this.ready.port ?? 0
  }

  ask(question: string, details: object = {}): Promise<Answer> {
    const id = this.#asked++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, question, details })
    })
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    await new Promise<void>((resolve) => {
      this.#child.once('exit', () => resolve())
      this.#child.kill('SIGTERM')
    })
  }

  #hear({ id, answer, error, news }: Said): void {
    if (news) return this.onNews(news)
    const waiting = this.#waiting.get(id ?? -1)
    this.#waiting.delete(id ?? -1)
    if (answer) waiting?.resolve(answer)
    else waiting?.reject(new Error(error))
  }

  #fail(reason: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(reason))
    this.#waiting.clear()
  }
}
