import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A server that is measured, in a process of its own. It prints its port, and ends with SIGTERM. */
export class ServerProcess {
  readonly port: number
  readonly #child: ChildProcess

  private constructor(port: number, child: ChildProcess) {
    this.port = port
    this.#child = child
  }

  static async start(file: string, ...args: readonly string[]): Promise<ServerProcess> {
    const program = fileURLToPath(new URL(file, import.meta.url))
    const child = spawn(process.execPath, ['--import=tsx', program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = await once(createInterface(child.stdout), 'line')
    return new ServerProcess(Number(line), child)
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await exited
  }
}
