import { once } from 'node:events'
import { createSigner } from 'fast-jwt'
import WebSocket from 'ws'
import type { Program } from './program.js'
import { ORIGIN, SECRET } from './settings.js'

const TEXT = 'x'.repeat(100)
const sign = createSigner({ key: SECRET, expiresIn: 3_600_000 })

/** Connections of as many users, each of which sends a message, waits for its reply, and sends the next. */
export class EchoLoad {
  readonly #sockets: readonly WebSocket[]

  private constructor(sockets: readonly WebSocket[]) {
    this.#sockets = sockets
  }

  static async connect({ port }: Program, connections: number): Promise<EchoLoad> {
    const sockets: WebSocket[] = []
    for (let i = 0; i < connections; i++) sockets.push(await connect(port, `user ${i}`))
    return new EchoLoad(sockets)
  }

  /** Answers the replies per second. */
  async run(type: string, forMs: number): Promise<number> {
    const start = performance.now()
    const until = start + forMs
    const counts = await Promise.all(this.#sockets.map((socket) => talk(socket, type, until)))
    return (counts.reduce((sum, count) => sum + count, 0) / (performance.now() - start)) * 1000
  }

  close(): void {
    for (const socket of this.#sockets) socket.terminate()
  }
}

async function connect(port: number, sub: string): Promise<WebSocket> {
  const response = await fetch(`http://127.0.0.1:${port}/bench/ticket`, {
    method: 'POST',
    headers: { origin: ORIGIN, 'content-type': 'application/json', authorization: `Bearer ${sign({ sub })}` },
    body: '{}'
  })
  const { protocols } = Object(await response.json())
  const socket = new WebSocket(`ws://127.0.0.1:${port}/bench`, protocols, { origin: ORIGIN })
  await once(socket, 'message')
  return socket
}

function talk(socket: WebSocket, type: string, until: number): Promise<number> {
  const message = JSON.stringify({ type, id: 1, payload: { text: TEXT } })
  let replies = 0
  return new Promise((resolve, reject) => {
    const onMessage = (data: Buffer) => {
      if (!data.includes('"$reply"')) return reject(new Error(`no reply: ${data}`))
      replies++
      if (performance.now() < until) return socket.send(message)
      socket.off('message', onMessage)
      resolve(replies)
    }
    socket.on('message', onMessage)
    socket.send(message)
  })
}
