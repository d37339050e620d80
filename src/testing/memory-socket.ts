import type { EventEmitter } from 'node:events'
import WebSocket from 'ws'
import { clientError } from '../client/error.js'
import { refusal } from '../client/ticket.js'
import { openMemoryLink, type Peer } from './memory-link.js'
import { readResponse } from './memory-request.js'

export interface MemoryUpgrade {
  readonly path: string
  readonly protocols: string[]
  readonly headers: Readonly<Record<string, string>>
  readonly peer: Peer
  readonly autoPong: boolean
}

/** Begins to open a WebSocket. Whoever wants to miss no frame listens in this turn. */
export function openMemorySocket(server: EventEmitter, { path, protocols, headers, peer, autoPong }: MemoryUpgrade): WebSocket {
  return new WebSocket(`ws://localhost${path}`, protocols, {
    headers,
    autoPong,
    createConnection: () => openMemoryLink(server, peer)
  })
}

/** Resolves when it is open; rejects with a `WsTicketError` that says how it was refused. */
export function untilOpen(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', (cause) => reject(clientError('DISCONNECTED', 'There was no WebSocket.', { cause })))
    socket.once('unexpected-response', (request, answer) => {
      void readResponse(answer)
        .then((response) => refusal(response, 'DISCONNECTED'))
        .then(reject, reject)
        .finally(() => request.destroy())
    })
  })
}
