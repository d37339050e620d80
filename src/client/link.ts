import { ControlType } from '../protocol.js'
import { AFTER_WELCOME, STOP } from './close-codes.js'
import { openSocket } from './connection.js'
import { clientError, naming, toldError, WsTicketError } from './error.js'
import { textOf } from './fields.js'
import type { ServerFrame } from './frame.js'
import { watchHeartbeat } from './heartbeat.js'
import type { ClientSettings } from './options.js'
import type { Requests } from './requests.js'
import type { ClientStatus } from './status.js'
import { NO_TICKET, requestTicket } from './ticket.js'
import { watchPage } from './wake.js'

const UNOPENED = 'There was no WebSocket: is the server there, does the proxy pass Upgrade, does a hook refuse it?'

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
 * @param told is called with each event
 */
export function keepConnected(
  settings: ClientSettings,
  requests: Requests,
  tell: (status: ClientStatus, reason: WsTicketError | undefined) => void,
  opened: () => void,
  told: (event: string, payload: unknown, topic: string | undefined) => void
): Link {
  const { clock, backoff, random, connectTimeout, heartbeatTimeout } = settings
  let status: ClientStatus = 'connecting'
  /** Of the client. */
  const end = new AbortController()
  /** Of the present attempt and the connection that comes of it. */
  let life = end
  let write: ((text: string) => void) | undefined
  let connectionId = ''
  /** Of the attempt, the pause before the next, or the pause before the next refresh. */
  let stopTimer = () => {}
  /** Since a connection last went well. */
  let failures = 0
  /** No attempt before that, even when woken. */
  let notBefore = 0
  /** Of the connection whose session is being extended. */
  let refreshing: AbortSignal | undefined
  /** What the server last asked to wait for. */
  let retryAfter: number | undefined

  const heartbeat = watchHeartbeat(
    settings,
    () => void requests.send(ControlType.ping, {}).catch(() => {}),
    () => lost(clientError('DISCONNECTED', `No answer within ${heartbeatTimeout} ms.`))
  )

  function connect(): void {
    life = new AbortController()
    retryAfter = undefined
    after(connectTimeout, () => {
      lost(clientError('TIMEOUT', `No connection within ${connectTimeout} ms. ${write ? UNOPENED : NO_TICKET}`))
    })
    become('connecting')
    void open(life.signal)
  }

  function close(reason?: WsTicketError): void {
    if (status === 'closed') return
    end.abort()
    leave()
    requests.close(reason)
    become('closed', reason)
  }

  async function open(signal: AbortSignal): Promise<void> {
    try {
      const { protocols } = await requestTicket(settings, {}, signal)
      signal.throwIfAborted()
      write = await naming('DISCONNECTED', UNOPENED, () => openSocket(settings, protocols, signal, received, closed))
    } catch (error) {
      if (!signal.aborted && error instanceof WsTicketError) lost(error)
    }
  }

  function received({ type, id, payload, topic }: ServerFrame): void {
    heartbeat.seen()
    if (type === ControlType.welcome) welcomed(payload)
    else if (type === ControlType.expiring) void refresh(life.signal)
    else if (type === ControlType.reply) requests.replied(id, payload)
    else if (type === ControlType.error) {
      const error = toldError(payload)
      retryAfter = error.retryAfter
      requests.refused(id, error)
    } else told(type, payload, topic)
  }

  /** A server may say so again and again. */
  function welcomed(payload: unknown): void {
    if (!write || status === 'open') return
    stopTimer()
    connectionId = textOf(Object(payload).connection)
    requests.connected(write)
    become('open')
    opened()
    requests.flush()
  }

  /** Before the session expires, of which a server may tell again and again; again after a failure that may pass. */
  async function refresh(signal: AbortSignal): Promise<void> {
    if (signal === refreshing) return
    refreshing = signal
    try {
      const { ticket } = await requestTicket(settings, { refresh: connectionId }, signal)
      // the server may tell of the next end in one breath with its answer
      refreshing = undefined
      await requests.send(ControlType.refresh, { ticket }, { signal })
    } catch (error) {
      if (signal.aborted || !(error instanceof WsTicketError)) return
      const { code, isFinal, retryAfter = 0 } = error
      if (code === 'NO_USER') return close(error)
      // what else is refused for good the attempt that follows the end of the session will be told
      if (isFinal) return
      refreshing = signal
      after(pause() + retryAfter, () => {
        refreshing = undefined
        void refresh(signal)
      })
    }
  }

  function closed(code: number, reason: unknown, cause?: unknown): void {
    const isOpen = status === 'open'
    if (isOpen && !AFTER_WELCOME.includes(code)) failures = 0
    const message = isOpen || code !== 1006 ? `The connection was closed with ${code} '${textOf(reason)}'.` : UNOPENED
    lost(
      clientError('DISCONNECTED', message, {
        cause,
        closeCode: code,
        // what the server last asked for
        retryAfter: code === 4429 ? retryAfter : undefined,
        isFinal: STOP.includes(code)
      })
    )
  }

  /** The attempt has failed, or the connection is gone: what comes next. */
  function lost(reason: WsTicketError): void {
    if (reason.isFinal) return close(reason)
    leave()
    requests.disconnected(reason)
    notBefore = clock.now() + (reason.retryAfter ?? 0)
    comeBack(pause())
    become('waiting', reason)
  }

  /** Gives back whatever the attempt and its connection hold. */
  function leave(): void {
    life.abort()
    stopTimer()
    heartbeat.stop()
    write = undefined
  }

  function doubt(): void {
    if (status === 'open') heartbeat.check()
  }

  function retry(): void {
    // whole networks come back at one moment
    if (status === 'waiting') comeBack(random() * backoff.min)
  }

  /** Full jitter: a random part of a bound that doubles with each failure. */
  function pause(): number {
    return random() * Math.min(backoff.max, backoff.min * 2 ** failures++)
  }

  /** What the server asks for is waited for first, so that all whom it told the same do not come back at once. */
  function comeBack(pauseMs: number): void {
    after(Math.max(0, notBefore - clock.now()) + pauseMs, connect)
  }

  function become(value: ClientStatus, reason?: WsTicketError): void {
    status = value
    tell(status, reason)
  }

  function after(delayMs: number, task: () => void): void {
    stopTimer()
    stopTimer = clock.after(delayMs, task)
  }

  watchPage(
    end.signal,
    () => {
      doubt()
      retry()
    },
    doubt
  )
  connect()
  return { status: () => status, retry, close }
}
