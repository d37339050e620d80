import type { FastifyReply, FastifyRequest } from 'fastify'
import { entryOf, fail } from '../errors.js'
import { tellFailure } from '../failure-watch.js'
import { wasNoted } from '../metrics/answers.js'
import type { AdmitStage } from './admit.js'

type OnSend = (request: FastifyRequest, reply: FastifyReply, payload: unknown, done: () => void) => void

/** Servers whose app was told. */
const told = new WeakSet<object>()

/** They say to come again, whoever one is: what limits requests is as right with upgrades. */
const FOR_NOW = new Set([429, 503])

/**
 * A hook for the upgrade's `onSend`. Where a hook of the app's own refuses a ticket, most often as it asks every request for a JWT, the
 * log says so and what to do, once for each app; the client knows no more than that hook has told it.
 */
export function hintAtHook(server: object, { gate, route }: AdmitStage): OnSend {
  return (request, reply, _payload, done) => {
    const { statusCode } = reply
    const handshake = gate.handshakeOf(request.raw)
    const isRefusedByHook = statusCode === 401 || (statusCode >= 400 && !FOR_NOW.has(statusCode) && handshake?.ticket === '')
    if (handshake && isRefusedByHook && !wasNoted(request) && offersTicket(request, handshake.offeredTickets)) {
      tellFailure(request.raw.socket, fail('UPGRADE_REFUSED_BY_HOOK'))
      if (!told.has(server)) hint(server, request, statusCode, route)
    }
    done()
  }
}

function hint(server: object, request: FastifyRequest, statusCode: number, route: string): void {
  told.add(server)
  const { code, message } = entryOf('UPGRADE_REFUSED_BY_HOOK')
  request.log.warn({ code, statusCode, route }, message)
}

function offersTicket({ query }: FastifyRequest, offeredTickets: readonly string[]): boolean {
  return offeredTickets.length > 0 || Object.hasOwn(Object(query), 'ticket')
}
