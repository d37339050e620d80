import { createSigner } from 'fast-jwt'
import { ORIGIN, SECRET } from '../settings.js'
import { Client } from './client.js'
import { Poster } from './poster.js'
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
  ticket(port) {
    const poster = new Poster(port)
    return {
      wire: (token) => ({
        ...wireOf('ticket'),
        async upgrade() {
          const protocols = await poster.post(token)
          return { path: '/bench', headers: [`Origin: ${ORIGIN}`, `Sec-WebSocket-Protocol: ${protocols.join(', ')}`] }
        },
        // the 101 is the end of it for all alike
        greet: () => READY
      }),
      close: () => poster.close()
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
