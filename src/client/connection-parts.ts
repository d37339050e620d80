import type { Pause } from './backoff.js'
import type { Timer } from './clock.js'
import type { WsTicketError } from './error.js'
import type { ClientSettings } from './options.js'
import type { Requests } from './requests.js'

/** What an attempt, and the connection that comes of it, may use, and whom they tell. */
export interface ConnectionParts extends ClientSettings {
  readonly requests: Requests
  readonly after: Timer
  readonly pause: Pause
  /** The server has welcomed the client. */
  opened(): void
  emit(event: string, payload: unknown, topic: string | undefined): void
  lost(reason: WsTicketError): void
}
