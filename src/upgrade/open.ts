import type { FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import type { ConnectionHost } from '../connection/host.js'
import { LiveConnection } from '../connection/live-connection.js'
import type { ConnectionRegistry } from '../connection/registry.js'
import { fail } from '../errors.js'
import { watchConnection } from '../failure-watch.js'
import { noting } from '../metrics/answers.js'
import { type AdmitStage, type Admitted, admit } from './admit.js'
import type { AppServer } from './app-server.js'
import type { Handshake } from './handshake.js'

/** What opening a connection needs. */
export interface OpenStage extends AdmitStage {
  readonly host: ConnectionHost & { readonly registry: ConnectionRegistry }
  /** All sockets of @fastify/websocket, which closes them without a code at shutdown. */
  readonly sockets: Set<WebSocket>
  readonly server: AppServer
}

interface Opening {
  readonly admission: Admitted
  readonly handshake: Handshake
  readonly reply: FastifyReply
}

const openings = new WeakMap<FastifyRequest, Opening>()

/**
 * The route's handler: redeems the ticket, and only then lets @fastify/websocket answer 101.
 *
 * @param upgrade its handler, which answers and calls {@link openConnection} in the same turn
 */
export async function redeemAndUpgrade(
  stage: OpenStage,
  request: FastifyRequest,
  reply: FastifyReply,
  upgrade: () => unknown
): Promise<FastifyReply> {
  const handshake = stage.gate.handshakeOf(request.raw)
  if (!handshake) return reply.hijack()
  if (!stage.server.isSound(request.raw)) throw fail('BAD_HANDSHAKE', ['its Sec-WebSocket-Extensions are not acceptable'])
  // what the app refuses is answered by its own server, as without us
  const admission = (await stage.server.isWelcome(request.raw)) ? await noting(request, () => admit(stage, request, handshake)) : undefined
  if (!handshake.isPending) return reply.hijack()
  if (admission) {
    openings.set(request, { admission, handshake, reply })
    // the 101 and the first frames go out in one write
    handshake.socket.cork()
  }
  try {
    upgrade()
  } catch (error) {
    handshake.socket.destroy()
    throw error
  } finally {
    // a connection uncorks its socket itself
    if (openings.delete(request)) handshake.socket.uncork()
  }
  return reply
}

/** The socket is open: makes it a connection that holds on to nothing of the request. */
export function openConnection(stage: OpenStage, socket: WebSocket, request: FastifyRequest): void {
  const opening = openings.get(request)
  const reader = opening?.handshake.reader
  // the app's own server has refused this upgrade, and opens no socket for it; should it ever, nobody is let in
  /* c8 ignore next */
  if (!opening || !reader) return socket.terminate()
  const { admission, handshake, reply } = opening
  const release = handshake.handOver()
  stage.gate.settle(handshake)
  if (reply.raw.socket) reply.raw.detachSocket(reply.raw.socket)
  stage.sockets.delete(socket)
  openings.delete(request)
  const connection = new LiveConnection(stage.host, socket, { transport: handshake.socket, reader }, { ...admission, release })
  watchConnection(handshake.socket, connection)
  stage.host.registry.add(connection)
  stage.metrics.handshakeEnded('opened')
  connection.open()
}
