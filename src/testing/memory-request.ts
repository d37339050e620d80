import type { EventEmitter } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { openMemoryLink, type Peer } from './memory-link.js'

export interface MemoryPost {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: object
  readonly peer: Peer
}

/** A POST of JSON over a connection of its own. */
export async function postInMemory(server: EventEmitter, { path, headers, body, peer }: MemoryPost): Promise<Response> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ method: 'POST', path, headers: { host: 'localhost', ...headers }, createConnection: () => openMemoryLink(server, peer) })
      .once('response', resolve)
      .once('error', reject)
      .end(JSON.stringify(body))
  })
  return await readResponse(answer)
}

/** The whole of an answer. */
export async function readResponse(answer: IncomingMessage): Promise<Response> {
  const body = await text(answer)
  const headers = Object.entries(answer.headers).map(([name, value]): [string, string] => [name, String(value)])
  return new Response(body || null, { status: Number(answer.statusCode), headers })
}
