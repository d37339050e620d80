import { Agent, request } from 'node:http'
import { createSigner } from 'fast-jwt'
import { ECHO_TEXT, NEWS_TEXT, ORIGIN, SECRET } from '../settings.js'

/** How one talks to a contender. */
export interface Wire {
  /** The head lines of the upgrade beyond those of RFC 6455, and its path. */
  upgrade(port: number, user: number): Promise<{ readonly path: string; readonly headers: readonly string[] }>
  /** What is said in answer to a text of the server, and to its 101 (''): undefined for nothing, READY when messages may be sent. */
  greet(text: string): string | undefined
  /** A message whose reply is awaited, by its type, and the reply. */
  echo(type: string): { readonly message: string; readonly reply: string }
  /** An event, for its length. */
  readonly news: string
  /** What has to be answered while it is open. */
  answer(text: string): string | undefined
}

export const READY = 'ready'
const PLAIN_NEWS = JSON.stringify({ type: 'news', topic: 'all', payload: { text: NEWS_TEXT } })

function plainEcho(type: string) {
  const payload = { text: ECHO_TEXT }
  return { message: JSON.stringify({ type, id: 7, payload }), reply: JSON.stringify({ type: '$reply', id: 7, payload }) }
}

const bare: Wire = {
  upgrade: async () => ({ path: '/', headers: [] }),
  greet: () => READY,
  echo: plainEcho,
  news: PLAIN_NEWS,
  answer: () => undefined
}

const sign = createSigner({ key: SECRET, expiresIn: 3_600_000 })
const agent = new Agent({ keepAlive: true, maxSockets: 64 })

/** Gets a ticket; answers the subprotocols to offer. */
export function postTicket(port: number, user: number, token = sign({ sub: `user ${user}` })): Promise<string[]> {
  const headers = { origin: ORIGIN, 'content-type': 'application/json', authorization: `Bearer ${token}` }
  return new Promise((resolve, reject) => {
    const post = request({ host: '127.0.0.1', port, path: '/bench/ticket', method: 'POST', headers, agent }, async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk)
      const body = Buffer.concat(chunks).toString()
      if (response.statusCode === 201) resolve(JSON.parse(body).protocols)
      else reject(new Error(`no ticket: ${response.statusCode} ${body}`))
    })
    post.on('error', reject)
    post.end('{}')
  })
}

const ticket: Wire = {
  async upgrade(port, user) {
    const protocols = await postTicket(port, user)
    return { path: '/bench', headers: [`Origin: ${ORIGIN}`, `Sec-WebSocket-Protocol: ${protocols.join(', ')}`] }
  },
  greet: (text) => (text.startsWith('{"type":"$welcome"') ? READY : undefined),
  echo: plainEcho,
  news: PLAIN_NEWS,
  answer: () => undefined
}

/** engine.io version 4 and socket.io version 5, over WebSocket alone. */
const socketIo: Wire = {
  upgrade: async () => ({ path: '/socket.io/?EIO=4&transport=websocket', headers: [] }),
  greet: (text) => (text.startsWith('40') ? READY : text.startsWith('0') ? '40' : undefined),
  echo: (type) => ({ message: `427${JSON.stringify([type, { text: ECHO_TEXT }])}`, reply: `437${JSON.stringify([{ text: ECHO_TEXT }])}` }),
  news: `42${JSON.stringify(['news', { text: NEWS_TEXT }])}`,
  answer: (text) => (text === '2' ? '3' : undefined)
}

const WIRES: Readonly<Record<string, Wire>> = { bare, ticket, 'socket.io': socketIo }

export function wireOf(name: string): Wire {
  const wire = WIRES[name]
  if (!wire) throw new Error(`there is no wire ${name}`)
  return wire
}
