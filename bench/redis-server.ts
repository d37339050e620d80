import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from './free-port.js'

/** A Redis for measuring: in memory only, on a port of its own of loopback. */
export class MeasuredRedis {
  readonly port: number
  readonly #child: ChildProcess

  private constructor(port: number, child: ChildProcess) {
    this.port = port
    this.#child = child
  }

  static async start(): Promise<MeasuredRedis> {
    const port = await freePort()
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    const child = spawn('redis-server', args, { stdio: 'ignore' })
    const redis = new MeasuredRedis(port, child)
    while (!(await redis.#accepts())) await delay(20)
    return redis
  }

  /** Runs redis-cli and answers what it prints. */
  async cli(...args: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)('redis-cli', ['-h', '127.0.0.1', '-p', String(this.port), ...args])
    return stdout.trim()
  }

  /** Runs redis-benchmark on a command and answers its requests per second. */
  async benchmark(requests: number, pipeline: number, command: readonly string[]): Promise<number> {
    const args = ['-h', '127.0.0.1', '-p', String(this.port), '-n', String(requests), '-c', '1', '-P', String(pipeline), '-r', '100000']
    const { stdout } = await promisify(execFile)('redis-benchmark', [...args, '--csv', ...command])
    const [, rate] = /^"[^"]*","([\d.]+)"/m.exec(stdout.split('\n').slice(1).join('\n')) ?? []
    if (rate === undefined) throw new Error(`redis-benchmark said: ${stdout}`)
    return Number(rate)
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await exited
  }

  async #accepts(): Promise<boolean> {
    if (this.#child.exitCode !== null) throw new Error('redis-server ended')
    const socket = connect(this.port, '127.0.0.1')
    const isAccepted = await once(socket, 'connect').then(
      () => true,
      () => false
    )
    socket.destroy()
    return isAccepted
  }
}
