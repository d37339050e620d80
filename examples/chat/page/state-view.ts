/** How the state of the connection looks. */
import type { ClientStatus, WsTicketError } from 'fastify-ws-ticket/client'
import { byId, show } from './elements.js'
import { wordsFor } from './words.js'

const TEXTS = { connecting: 'Connecting…', open: 'Connected', closed: 'Disconnected' }

const pill = byId('state', HTMLElement)
const text = byId('state-text', HTMLElement)
const retry = byId('retry', HTMLElement)
const session = byId('session', HTMLElement)
const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })

export function showState(status: ClientStatus, reason?: WsTicketError): void {
  pill.dataset.state = status
  retry.hidden = status !== 'waiting'
  show(text, status === 'waiting' ? waitingText(reason) : TEXTS[status])
}

export function showSession(until: Date): void {
  show(session, `Session until ${time.format(until)}`)
}

function waitingText(reason: WsTicketError | undefined): string {
  const { retryAfter } = reason ?? {}
  const when = retryAfter === undefined ? '' : ` in ${Math.ceil(retryAfter / 1000)} s`
  return `${wordsFor(reason)} Trying again${when}…`
}
