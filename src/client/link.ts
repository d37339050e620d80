import { keepBackoff } from './backoff.js'
import { oneTimer } from './clock.js'
import { AFTER_WELCOME } from './close-codes.js'
import { connect } from './connection.js'
import type { ConnectionParts } from './connection-parts.js'
import type { WsTicketError } from './error.js'
import type { ClientSettings } from './options.js'
import type { Requests } from './requests.js'
import type { ClientStatus } from './status.js'
import { watchPage } from './wake.js'

export interface Link {
  status(): ClientStatus
  /** Makes the next attempt soon. */
  retry(): void
  /** Ends it for good, with the reason where it was not the user's wish. */
  close(reason?: WsTicketError): void
}

/**
 * Keeps a connection: one attempt at a time, each with a ticket of its own, and after a loss the next.
 *
 * @param opened is called when the server has welcomed the client
 * @param emit is called with each event
 */
export function keepConnected(
  settings: ClientSettings,
  requests: Requests,
  tell: (status: ClientStatus, reason: WsTicketError | undefined) => void,
  opened: () => void,
  emit: (event: string, payload: unknown, topic: string | undefined) => void
): Link {
  const { clock, random, backoff } = settings
  const pause = keepBackoff(settings)
  /** Of the pause before an attempt, of the attempt itself, and then of the heartbeat. */
  const after = oneTimer(clock)
  let status: ClientStatus = 'connecting'
  /** Of the present pause, the attempt after it, and the connection that comes of that. */
  let life = new AbortController()
  /** No attempt before that, even when woken. */
  let notBefore = 0

  function attempt(): void {
    become('connecting')
    if (status === 'connecting') connect(parts, life.signal)
  }

  /** The attempt has failed, or the connection is gone: what comes next. */
  function lost(reason: WsTicketError): void {
    if (reason.isFinal) return close(reason)
    notBefore = clock.now() + (reason.retryAfter ?? 0)
    comeBack(pause(status === 'open' && !AFTER_WELCOME.includes(reason.closeCode)))
    requests.lost(reason)
    become('waiting', reason)
  }

  /** What the server asks for is waited for first, so that all whom it told the same do not come back at once. */
  function comeBack(pauseMs: number): void {
    life.abort()
    life = new AbortController()
    watchPage(life.signal, retry, () => {})
    after(Math.max(0, notBefore - clock.now()) + pauseMs, attempt)
  }

  function retry(): void {
    // whole networks come back at one moment
    if (status === 'waiting') comeBack(random() * backoff.min)
  }

  function close(reason?: WsTicketError): void {
    if (status === 'closed') return
    life.abort()
    after(0)
    requests.close(reason)
    become('closed', reason)
  }

  function become(value: ClientStatus, reason?: WsTicketError): void {
    status = value
    tell(status, reason)
  }

  const parts: ConnectionParts = {
    ...settings,
    requests,
    after,
    pause,
    lost,
    emit,
    opened() {
      become('open')
      opened()
    }
  }
  attempt()
  return { status: () => status, retry, close }
}
