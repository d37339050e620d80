import type { WebSocket } from 'ws'
import { systemClock } from '../client/clock.js'
import { clientError, toldError, WsTicketError } from '../client/error.js'
import { decodeFrame, type ServerFrame } from '../client/frame.js'
import { type Line, openLine } from '../client/line.js'
import { keepRequests, type Requests } from '../client/requests.js'
import type { Contract, MessagePayload, MessageReply, MessageType, WithPayload } from '../contract.js'
import type { ErrorCode } from '../errors.js'
import { CloseCode, ControlType } from '../protocol.js'
import { fromCall } from './call-site.js'
import type { Credentials } from './credentials.js'
import { changed, type Failures, joined } from './failures.js'
import type { Frame, FrameType } from './frames.js'
import { type Closed, Inbox } from './inbox.js'
import { within } from './within.js'

/** How long something is waited for. */
export interface WaitOptions {
  /** Milliseconds. Default: the `timeout` of the connection. */
  timeout?: number
}

/**
 * A client's connection to a route, in a test. Whatever waits rejects with a `WsTicketError`: `TIMEOUT` when its time has passed,
 * `DISCONNECTED` with a `closeCode` when the connection is closed; its message says which frames came instead. Its stack is that of the call;
 * where the server has failed, and told a client no more than that, its `cause` is why.
 */
export interface TestConnection<C extends Contract = Contract> extends AsyncDisposable {
  /** The connection's id, as the server knows it. */
  readonly id: string
  /** The end of the session in milliseconds since 1970. */
  readonly expiresAt: number
  /** Frames that came and were not asked for, the oldest first; no `$welcome`, and no answers to `request`. */
  readonly unread: readonly Frame<C>[]
  /** The WebSocket of the package ws: to send what is no frame, to stop reading, or to be gone without a word. */
  readonly socket: WebSocket
  /** The oldest frame of a type, or of any, that was not read; or the next that comes. Frames of other types stay unread. */
  next<T extends FrameType<C>>(type?: T, options?: WaitOptions): Promise<Frame<C, T>>
  /**
   * Sends a message with an id and resolves with the reply. A payload that may be `{}` may be left out. Rejects with
   * the `code`, `statusCode`, `retryAfter` and `errors` of the `$error` that came.
   */
  request<T extends MessageType<C>>(
    type: T,
    ...payload: WithPayload<MessagePayload<C, T>, [options?: WaitOptions | undefined]>
  ): Promise<MessageReply<C, T>>
  /** Sends a message without an id: it is not answered; where it is refused, a `$error` without an id comes. */
  send<T extends MessageType<C>>(type: T, ...payload: WithPayload<MessagePayload<C, T>>): void
  /** Resolves when whatever the server has sent until now has come: then `unread` shows that nothing else did. */
  flushed(): Promise<void>
  /**
   * Extends the session with a new ticket, as {@link connect} gets one, of the same user unless told otherwise.
   * @returns the new end of the session
   */
  refresh(credentials?: Credentials): Promise<number>
  /** Waits until the connection is closed, by whomever. */
  closed(options?: WaitOptions): Promise<Closed>
  /** Closes it, and waits until that is done. Default: 1000. */
  close(code?: number, reason?: string): Promise<Closed>
}

/** What a connection is whatever its contract, of which nothing but types is there. */
export interface UntypedConnection extends AsyncDisposable {
  readonly id: string
  readonly expiresAt: number
  readonly unread: readonly ServerFrame[]
  readonly socket: WebSocket
  next(type?: string, options?: WaitOptions): Promise<ServerFrame>
  request(type: string, payload?: unknown, options?: WaitOptions): Promise<unknown>
  send(type: string, payload?: unknown): void
  flushed(): Promise<void>
  refresh(credentials?: Credentials): Promise<number>
  closed(options?: WaitOptions): Promise<Closed>
  close(code?: number, reason?: string): Promise<Closed>
}

interface ConnectionParts {
  readonly timeout: number
  readonly failures: Failures
  /** A ticket that extends the session of a connection. */
  readonly issueRefresh: (id: string, credentials: Credentials) => Promise<string>
}

/** What is over a limit is refused unread, and so without its id; any other error without an id is of a message that had none. */
const RATE_LIMITED: ErrorCode = 'FST_WS_TICKET_RATE_LIMITED'

/** Must be made in the turn in which the socket is, or frames are missed. */
export class LiveTestConnection implements UntypedConnection {
  readonly socket: WebSocket
  readonly #parts: ConnectionParts
  readonly #inbox = new Inbox()
  readonly #requests: Requests
  readonly #line: Line
  readonly #closed: Promise<Closed>
  #id = ''
  #expiresAt = 0

  constructor(socket: WebSocket, parts: ConnectionParts) {
    this.socket = socket
    this.#parts = parts
    this.#line = openLine((text) => socket.send(text))
    this.#requests = keepRequests({ clock: systemClock, timeout: parts.timeout, queueLimit: 0 })
    this.#requests.opened(this.#line, () => {})
    socket.on('message', (data) => this.#received(decodeFrame(data)))
    // a close follows, and says as much
    socket.on('error', () => {})
    this.#closed = new Promise((resolve) => socket.once('close', (code, reason) => resolve({ code, reason: String(reason) })))
    void this.#closed.then((closed) => this.#ended(closed))
  }

  get id(): string {
    return this.#id
  }

  get expiresAt(): number {
    return this.#expiresAt
  }

  get unread(): readonly ServerFrame[] {
    return this.#inbox.unread
  }

  /** Waits for the first frame, which says who this is. */
  async welcomed(): Promise<void> {
    const { payload } = await this.next(ControlType.welcome)
    const { connection, expiresAt } = Object.assign({ connection: '', expiresAt: 0 }, payload)
    this.#id = connection
    this.#expiresAt = expiresAt
  }

  next(type?: string, { timeout = this.#parts.timeout }: WaitOptions = {}): Promise<ServerFrame> {
    return this.#call(this.next, () => this.#inbox.take(type, timeout))
  }

  request(type: string, payload?: unknown, options?: WaitOptions): Promise<unknown> {
    return this.#call(this.request, () => this.#answer(type, payload, options))
  }

  send(type: string, payload?: unknown): void {
    this.socket.send(JSON.stringify({ type, payload }))
  }

  flushed(): Promise<void> {
    return this.#call(this.flushed, async () => void (await this.#answer(ControlType.ping, {})))
  }

  refresh(credentials: Credentials = {}): Promise<number> {
    return this.#call(this.refresh, async () => {
      const ticket = await this.#parts.issueRefresh(this.#id, credentials)
      const reply = await this.#answer(ControlType.refresh, { ticket })
      this.#expiresAt = Object.assign({ expiresAt: 0 }, reply).expiresAt
      return this.#expiresAt
    })
  }

  closed({ timeout = this.#parts.timeout }: WaitOptions = {}): Promise<Closed> {
    return this.#call(this.closed, () => within(this.#closed, timeout, () => this.#inbox.missing('The close', timeout)))
  }

  close(code: number = CloseCode.normal, reason = ''): Promise<Closed> {
    return this.#call(this.close, () => {
      this.socket.close(code, reason)
      return this.closed()
    })
  }

  /** Does not wait for an answer that a test has prevented. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.socket.isPaused) this.socket.terminate()
    await this.close()
  }

  /** What is missing may be so since the server has failed with something that is answered to nobody. */
  #call<T>(called: (...args: never[]) => unknown, task: () => T | Promise<T>): Promise<T> {
    return fromCall(called, async () => {
      try {
        return await task()
      } catch (error) {
        throw isMissing(error) ? this.#parts.failures.explain(error) : error
      }
    })
  }

  async #answer(type: string, payload: unknown, { timeout = this.#parts.timeout }: WaitOptions = {}): Promise<unknown> {
    try {
      return await this.#requests.send(type, payload, { timeout })
    } catch (error) {
      if (!(error instanceof WsTicketError)) throw error
      throw error.statusCode === undefined ? this.#inbox.missing(`The answer to '${type}'`, timeout) : refusalOf(type, error)
    }
  }

  #received(frame: ServerFrame | undefined): void {
    if (!frame) return
    const { type, id, payload } = frame
    if (type === ControlType.reply) return this.#line.settle(id, undefined, payload)
    if (type !== ControlType.error) return this.#inbox.put(frame)
    const error = toldError(payload)
    const isOfRequest = this.#line.owed.size > 0 && (id !== undefined || error.code === RATE_LIMITED)
    if (isOfRequest) this.#line.settle(id, id === undefined ? error : this.#parts.failures.explain(error, id))
    else this.#inbox.put(frame)
  }

  #ended(closed: Closed): void {
    this.#inbox.close(closed)
    this.#requests.lost(clientError('DISCONNECTED', 'The connection was closed.'))
  }
}

function isMissing(error: unknown): error is WsTicketError {
  return error instanceof WsTicketError && error.statusCode === undefined
}

/** With all that the `$error` says, since some reporters show no more of an error than its message and its stack. */
function refusalOf(type: string, error: WsTicketError): WsTicketError {
  const { code, statusCode, message, retryAfter, errors = [] } = error
  const wait = retryAfter === undefined ? '' : `retryAfter: ${retryAfter}`
  const objections = errors.map(({ path, message }) => `'${path}' ${message}`).join(', ')
  const more = [wait, objections && `errors: ${objections}`].filter((text) => text !== '').join(', ')
  return changed(error, joined(`${type} was refused: ${code} (${statusCode}): ${message}`, more))
}
