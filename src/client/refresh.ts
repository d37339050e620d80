import { ControlType } from '../protocol.js'
import type { ClientSettings } from './options.js'
import type { Requests } from './requests.js'
import { requestTicket } from './ticket.js'

/** Extends the session of a connection with a new ticket. */
export async function refreshSession(settings: ClientSettings, requests: Requests, connection: string, signal: AbortSignal): Promise<void> {
  const { ticket } = await requestTicket(settings, { refresh: connection }, signal)
  await requests.send(ControlType.refresh, { ticket }, { signal })
}
