import type { WsTicketError } from './error.js'
import { Listeners } from './listeners.js'

/**
 * - `connecting`: a ticket is asked for, or the connection is being opened
 * - `open`: the server has welcomed the client
 * - `waiting`: until the next try
 * - `closed`: for good
 */
export type ClientStatus = 'connecting' | 'open' | 'waiting' | 'closed'

/** What the client does, and who wants to know it. */
export class Status extends Listeners<[ClientStatus, WsTicketError | undefined]> {
  #value: ClientStatus = 'connecting'

  get value(): ClientStatus {
    return this.#value
  }

  set(value: ClientStatus, reason?: WsTicketError): void {
    this.#value = value
    this.emit(value, reason)
  }
}
