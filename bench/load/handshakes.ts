import { createSigner } from 'fast-jwt'
import { ORIGIN, SECRET } from '../settings.js'
import { Client } from './client.js'
import { KeptAlive } from './kept-alive.js'
import { READY, type Wire, wireOf } from './wires.js'

/** How many are under way at a time. */
const AT_A_TIME = 32
const USERS = 500

const sign = createSigner({ key: SECRET, expiresIn: 36_000_000 })
const tokens = Array.from({ length: USERS }, (_, user) => sign({ sub: `user ${user}`, name: 'Ann', roles: ['member'] }))

/** One of those who open connections one after another. */
interface Opener {
  /** For the next user. */
  wire(token: string): Wire
  close(): void
}

const ENGINE = '/socket.io/?EIO=4&transport='

function ticketHeaders(token: string): string[] {
  return [`Origin: ${ORIGIN}`, `Authorization: Bearer ${token}`, 'Content-Type: application/json']
}

const OPENERS: Readonly<Record<string, (port: number) => Opener>> = {
  bare: () => ({ wire: () => wireOf('bare'), close() {} }),
  query: () => ({
    wire: (token) => ({ ...wireOf('bare'), upgrade: async () => ({ path: `/?token=${token}`, headers: [] }) }),
    close() {}
  }),
  'socket.io': () => ({
    wire(token) {
      const plain = wireOf('socket.io')
      return { ...plain, greet: (text) => (plain.greet(text) === '40' ? `40${JSON.stringify({ token })}` : plain.greet(text)) }
    },
    close() {}
  }),
  /** As Socket.IO's own client begins: over HTTP, and then it moves to a WebSocket. */
  polling(port) {
    const http = new KeptAlive(port)
    return {
      wire: (token) => ({
        ...wireOf('socket.io'),
        async upgrade() {
          const { sid } = JSON.parse((await http.ask('GET', `${ENGINE}polling`)).slice(1))
          await http.ask('POST', `${ENGINE}polling&sid=${sid}`, [], `40${JSON.stringify({ token })}`)
          await http.ask('GET', `${ENGINE}polling&sid=${sid}`)
          return { path: `${ENGINE}websocket&sid=${sid}`, headers: [] }
        },
        greet: (text) => (text === '' ? '2probe' : READY)
      }),
      close: () => http.close()
    }
  },
  ticket(port) {
    const http = new KeptAlive(port)
    return {
      wire: (token) => ({
        ...wireOf('ticket'),
        async upgrade() {
          const answer = await http.ask('POST', '/bench/ticket', ticketHeaders(token), '{}')
          const { protocols } = JSON.parse(answer)
          return { path: '/bench', headers: [`Origin: ${ORIGIN}`, `Sec-WebSocket-Protocol: ${protocols.join(', ')}`] }
        },
        // the 101 is the end of it for all alike
        greet: () => READY
      }),
      close: () => http.close()
    }
  }
}

export interface HandshakesAsked {
  /** One of those above. */
  readonly opener: string
  readonly port: number
  readonly count: number
}

/** Opens connections. With `opened` each is given to that, else it is reset at once, so that no port waits for its end. */
export async function handshakes({ opener: name, port, count }: HandshakesAsked, opened = (client: Client) => client.close()) {
  const create = OPENERS[name]
  if (!create) throw new Error(`there is no opener ${name}`)
  const openers = Array.from({ length: AT_A_TIME }, () => create(port))
  const start = performance.now()
  let next = 0
  const openAll = async (opener: Opener) => {
    while (next < count) {
      const user = next++
      opened(await Client.open(opener.wire(tokens[user % USERS] ?? ''), port, user))
    }
  }
  await Promise.all(openers.map(openAll))
  const ms = performance.now() - start
  for (const opener of openers) opener.close()
  return { opened: count, ms }
}
