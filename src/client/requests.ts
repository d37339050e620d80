import type { ClientClock } from './clock.js'
import { encodeMessage } from './encoder.js'
import { type ClientErrorCode, clientError, type WsTicketError } from './error.js'

/** How one message is sent. */
export interface SendOptions {
  /** Gives up when it is aborted. */
  signal?: AbortSignal
  /** Milliseconds for which the answer is waited for. Default: the client's `timeout`. */
  timeout?: number
  /** Whether it does no harm when it is handled twice: then it is sent again where the connection breaks before the answer. Default: false. */
  repeat?: boolean
}

export interface RequestSettings {
  readonly clock: ClientClock
  readonly timeout: number
  readonly queueLimit: number
}

interface Request {
  readonly text: string
  readonly repeat: boolean
  /** Waits it for a connection, or for its answer? */
  isQueued: boolean
  mayHaveExecuted: boolean
  resolve(reply: unknown): void
  reject(error: WsTicketError): void
  /** Ends watching time and signal. */
  readonly release: () => void
}

/** Messages that are not answered yet: those that wait for a connection, in their order, and those that are on the wire. */
export class Requests {
  readonly #settings: RequestSettings
  readonly #requests = new Map<number, Request>()
  /** What this connection has yet to answer, also where nobody waits any more. */
  readonly #unanswered = new Set<number>()
  readonly #refusals: WsTicketError[] = []
  #lastId = 0
  #write: ((text: string) => void) | undefined
  #closed: WsTicketError | undefined

  constructor(settings: RequestSettings) {
    this.#settings = settings
  }

  /** Resolves with the reply; rejects with a {@link WsTicketError}, or a TypeError for a payload that is no JSON. */
  send(type: string, payload: unknown, options: SendOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#check(options.signal)
      const id = ++this.#lastId
      const text = encodeMessage(type, id, payload)
      const release = this.#limit(options, (code, cause) => this.#fail(id, request, code, cause))
      const request = { text, repeat: options.repeat ?? false, isQueued: true, mayHaveExecuted: false, resolve, reject, release }
      this.#requests.set(id, request)
      this.#transmit(id, request)
    })
  }

  /** There is a connection. What waits is sent by {@link flush}, after what is sent until then. */
  connected(write: (text: string) => void): void {
    this.#write = write
  }

  flush(): void {
    for (const [id, request] of this.#requests) if (request.isQueued) this.#transmit(id, request)
  }

  /** Does the server owe an answer? */
  get isWaiting(): boolean {
    return this.#unanswered.size > 0
  }

  /** A reply without an id answers nothing; ids begin with 1. */
  replied(id = 0, reply: unknown): void {
    this.#take(id)?.resolve(reply)
    this.#refuseRest()
  }

  /** An error without an id is the answer to some message that was refused unread. */
  refused(id: number | undefined, error: WsTicketError): void {
    if (id === undefined) this.#refusals.push(error)
    else this.#take(id)?.reject(error)
    this.#refuseRest()
  }

  /** The connection is gone: what was on the wire waits for the next one where it may be repeated, and fails elsewhere. */
  disconnected(error: WsTicketError): void {
    this.#write = undefined
    this.#unanswered.clear()
    this.#refusals.length = 0
    for (const [id, request] of this.#requests) {
      if (request.repeat) request.isQueued = true
      if (!request.isQueued) this.#fail(id, request, 'DISCONNECTED', error)
    }
  }

  /** There will be no connection any more. */
  close(cause?: WsTicketError): void {
    this.#closed = clientError('CLIENT_CLOSED', { cause })
    for (const [id, request] of this.#requests) this.#fail(id, request, 'CLIENT_CLOSED', cause)
  }

  #check(signal: AbortSignal | undefined): void {
    if (this.#closed) throw this.#closed
    if (signal?.aborted) throw clientError('ABORTED', { cause: signal.reason })
    if (this.#write || this.#requests.size < this.#settings.queueLimit) return
    throw clientError('QUEUE_FULL')
  }

  /** Watches time and signal; answers what ends that. */
  #limit({ signal, timeout = this.#settings.timeout }: SendOptions, fail: (code: ClientErrorCode, cause?: unknown) => void): () => void {
    const stopTimer = this.#settings.clock.after(timeout, () => fail('TIMEOUT'))
    const abort = () => fail('ABORTED', signal?.reason)
    signal?.addEventListener('abort', abort)
    return () => {
      stopTimer()
      signal?.removeEventListener('abort', abort)
    }
  }

  #transmit(id: number, request: Request): void {
    if (!this.#write) return
    request.isQueued = false
    request.mayHaveExecuted = true
    this.#unanswered.add(id)
    this.#write(request.text)
  }

  #fail(id: number, request: Request, code: ClientErrorCode, cause?: unknown): void {
    this.#requests.delete(id)
    request.release()
    request.reject(clientError(code, { cause, mayHaveExecuted: request.mayHaveExecuted }))
  }

  /** The message that is answered; none where it was given up before. */
  #take(id: number): Request | undefined {
    const request = this.#requests.get(id)
    this.#requests.delete(id)
    this.#unanswered.delete(id)
    request?.release()
    return request
  }

  /** When as many messages are unanswered as were refused without an id, it is they that were. */
  #refuseRest(): void {
    if (this.#refusals.length < this.#unanswered.size) return
    const [error] = this.#refusals.splice(0)
    if (!error) return
    for (const id of [...this.#unanswered]) this.#take(id)?.reject(error)
  }
}
