import type { FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { attach } from '../connection/attach.js'
import { type Admission, type ConnectionHost, LiveConnection } from '../connection/live-connection.js'
import type { ConnectionRegistry } from '../connection/registry.js'
import { type AdmitStage, admit, handshakeOf } from './admit.js'
import type { Handshake } from './handshake.js'

/** What opening a connection needs. */
export interface OpenStage extends AdmitStage {
  readonly host: ConnectionHost & { readonly registry: ConnectionRegistry }
  /** All sockets of @fastify/websocket, which closes them without a code at shutdown. */
  readonly sockets: Set<WebSocket>
}

interface Admitted {
  readonly admission: Admission
  readonly handshake: Handshake
  readonly reply: FastifyReply
}

const admitted = new WeakMap<FastifyRequest, Admitted>()

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
  const handshake = handshakeOf(stage, request)
  const admission = await admit(stage, request)
  if (!admission) return reply.hijack()
  admitted.set(request, { admission, handshake, reply })
  upgrade()
  // where the socket was gone already, nothing was opened
  if (admitted.delete(request)) admission.release()
  return reply
}

/** The socket is open: makes it a connection that holds on to nothing of the request. */
export function openConnection(stage: OpenStage, socket: WebSocket, request: FastifyRequest): void {
  const entry = admitted.get(request)
  if (!entry) return socket.terminate()
  admitted.delete(request)
  const { admission, handshake, reply } = entry
  stage.gate.settle(handshake)
  if (reply.raw.socket) reply.raw.detachSocket(reply.raw.socket)
  stage.sockets.delete(socket)
  const connection = new LiveConnection(stage.host, socket, admission)
  attach(socket, connection)
  stage.host.registry.add(connection)
  connection.open()
}
