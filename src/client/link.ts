import { ControlType } from '../protocol.js'
import { Backoff } from './backoff.js'
import { closeReason, wentWell } from './close-reason.js'
import { Connection } from './connection.js'
import type { ServerFrame } from './encoder.js'
import { clientError, toldError, WsTicketError } from './error.js'
import { type Fields, textOf } from './fields.js'
import { Heartbeat } from './heartbeat.js'
import type { ClientSettings } from './options.js'
import { refreshSession } from './refresh.js'
import type { Requests } from './requests.js'
import type { Status } from './status.js'
import { requestTicket } from './ticket.js'
import { watchPage } from './wake.js'

export interface LinkEvents {
  /** The server has welcomed the client. */
  opened(): void
  event(frame: ServerFrame): void
  /** For good. */
  closed(reason: WsTicketError | undefined): void
}

/** Keeps a connection: one attempt at a time, each with a ticket of its own, and after a loss the next. */
export class Link {
  readonly #settings: ClientSettings
  readonly #requests: Requests
  readonly #status: Status
  readonly #events: LinkEvents
  readonly #backoff: Backoff
  readonly #heartbeat: Heartbeat
  readonly #unwatchPage: () => void
  /** Of the present attempt and the connection that comes of it. */
  #life = new AbortController()
  #connection: Connection | undefined
  #connectionId = ''
  /** Of the attempt, the pause before the next, or the pause before the next refresh. */
  #stopTimer: () => void = () => {}
  /** No attempt before that, even when woken. */
  #notBefore = 0
  /** Of the connection whose session is being extended. */
  #refreshing: AbortSignal | undefined
  /** What the server last asked to wait for. */
  #retryAfter: number | undefined

  constructor(settings: ClientSettings, requests: Requests, status: Status, events: LinkEvents) {
    this.#settings = settings
    this.#requests = requests
    this.#status = status
    this.#events = events
    this.#backoff = new Backoff(settings.backoff, settings.random)
    this.#heartbeat = new Heartbeat(settings, {
      ping: () => void requests.send(ControlType.ping, {}).catch(() => {}),
      dead: () => this.#lost(clientError('DISCONNECTED'))
    })
    this.#unwatchPage = watchPage(
      () => this.#woken(),
      () => this.#doubt()
    )
  }

  connect(): void {
    const life = new AbortController()
    this.#life = life
    this.#retryAfter = undefined
    this.#after(this.#settings.connectTimeout, () => this.#lost(clientError('TIMEOUT')))
    this.#status.set('connecting')
    void this.#open(life.signal)
  }

  /** Ends it for good, with the reason where it was not the user's wish. */
  close(reason?: WsTicketError): void {
    if (this.#status.value === 'closed') return
    this.#leave()
    this.#unwatchPage()
    this.#requests.close(reason)
    this.#status.set('closed', reason)
    this.#events.closed(reason)
  }

  async #open(signal: AbortSignal): Promise<void> {
    try {
      const { protocols } = await requestTicket(this.#settings, {}, signal)
      signal.throwIfAborted()
      this.#connection = new Connection(this.#settings, protocols, {
        received: (frame) => this.#received(frame),
        closed: (code) => this.#closed(code),
        failed: () => this.#status.value === 'connecting' && this.#closed(1006)
      })
    } catch (error) {
      if (signal.aborted) return
      this.#lost(error instanceof WsTicketError ? error : clientError('DISCONNECTED', { cause: error }))
    }
  }

  #received(frame: ServerFrame): void {
    const { type, id, payload } = frame
    this.#heartbeat.seen()
    if (type === ControlType.welcome) return this.#welcomed(payload)
    if (type === ControlType.expiring) return this.#expiring(this.#life.signal)
    if (type === ControlType.reply) return this.#requests.replied(id, payload)
    if (type === ControlType.error) return this.#refused(id, toldError(payload))
    this.#events.event(frame)
  }

  #welcomed(payload: unknown): void {
    this.#stopTimer()
    const { connection }: Fields = Object(payload)
    this.#connectionId = textOf(connection)
    this.#heartbeat.start()
    this.#requests.connected((text) => this.#connection?.send(text))
    this.#status.set('open')
    this.#events.opened()
    this.#requests.flush()
  }

  #refused(id: number | undefined, error: WsTicketError): void {
    this.#retryAfter = error.retryAfter
    this.#requests.refused(id, error)
  }

  /** A server may say so again and again. */
  #expiring(signal: AbortSignal): void {
    if (signal === this.#refreshing) return
    this.#refreshing = signal
    void this.#refresh(signal)
  }

  /** Before the session expires; again after a failure that may pass. */
  async #refresh(signal: AbortSignal): Promise<void> {
    try {
      await refreshSession(this.#settings, this.#requests, this.#connectionId, signal)
      this.#refreshing = undefined
    } catch (error) {
      if (signal.aborted || !(error instanceof WsTicketError)) return
      if (error.code === 'NO_USER') return this.close(error)
      // what else is refused for good the attempt that follows the end of the session will be told
      if (!error.isFinal) this.#after(this.#backoff.next(error.retryAfter), () => void this.#refresh(signal))
    }
  }

  #closed(code: number): void {
    if (this.#status.value === 'open' && wentWell(code)) this.#backoff.reset()
    this.#lost(closeReason(code, this.#retryAfter))
  }

  /** The attempt has failed, or the connection is gone: what comes next. */
  #lost(reason: WsTicketError): void {
    if (reason.isFinal) return this.close(reason)
    this.#leave()
    this.#requests.disconnected(reason)
    this.#notBefore = this.#settings.clock.now() + (reason.retryAfter ?? 0)
    this.#after(this.#backoff.next(reason.retryAfter), () => this.connect())
    this.#status.set('waiting', reason)
  }

  /** Gives back whatever the attempt and its connection hold. */
  #leave(): void {
    this.#life.abort()
    this.#stopTimer()
    this.#heartbeat.stop()
    this.#connection?.close()
    this.#connection = undefined
  }

  #doubt(): void {
    if (this.#status.value === 'open') this.#heartbeat.check()
  }

  #woken(): void {
    this.#doubt()
    this.retry()
  }

  /** Makes the next attempt soon. */
  retry(): void {
    if (this.#status.value !== 'waiting') return
    const { clock, backoff, random } = this.#settings
    // whole networks come back at one moment
    const delayMs = Math.max(0, this.#notBefore - clock.now()) + random() * backoff.min
    this.#after(delayMs, () => this.connect())
  }

  #after(delayMs: number, task: () => void): void {
    this.#stopTimer()
    this.#stopTimer = this.#settings.clock.after(delayMs, task)
  }
}
