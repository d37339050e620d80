/** The WebSocket: opened with a ticket, kept open, and opened again when it is lost. */

import { ApiError } from './api.js'
import { Backoff } from './backoff.js'

/** Close codes after which coming back would not help, with what to tell the user. */
const FINAL = new Map([
  [1002, 'The server did not understand this page. Reload it.'],
  [1003, 'The server did not understand this page. Reload it.'],
  [1007, 'The server did not understand this page. Reload it.'],
  [1009, 'A message was too big. Log in again.'],
  [4400, 'The server refused too many messages. Log in again.'],
  [4403, 'You were logged out.'],
  [4409, 'This connection was ended for security. Log in again.']
])
const LIMITS_EXCEEDED = 4429
const LIMITS_EXCEEDED_WAIT_MS = 5000
const ANSWER_TIMEOUT_MS = 15_000
/** A connection that lasts this long starts the backoff afresh. */
const STABLE_MS = 5000

/**
 * Fires `state` with detail `{ state, reason?, retryAt? }`, state being `connecting`, `open`, `waiting` or `closed`;
 * `session` with detail `{ expiresAt }` when the session begins or is extended;
 * and `event` with detail `{ type, payload }` for what the server sends.
 */
export class Connection extends EventTarget {
  #api
  #socket
  #id
  #lastRequest = 0
  #answers = new Map()
  #backoff = new Backoff()
  #retryTimer
  #isEnded = false

  constructor(api) {
    super()
    this.#api = api
  }

  async open() {
    clearTimeout(this.#retryTimer)
    this.#retryTimer = undefined
    if (this.#isEnded) return
    this.#tell({ state: 'connecting' })
    try {
      this.#listenTo(new WebSocket(webSocketUrl('/chat'), await this.#protocols()))
    } catch (error) {
      this.#openFailed(error)
    }
  }

  /** Tries again now, if it is waiting to. */
  retryNow() {
    if (this.#retryTimer) void this.open()
  }

  /** Closes for good. */
  close(reason) {
    if (this.#isEnded) return
    this.#isEnded = true
    clearTimeout(this.#retryTimer)
    this.#socket?.close(1000)
    this.#tell({ state: 'closed', reason })
  }

  /** Sends a message; resolves with the reply's payload, rejects with an `ApiError`. */
  request(type, payload) {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new ApiError({ message: 'There is no connection at the moment.', code: 'OFFLINE' }))
    }
    const id = ++this.#lastRequest
    this.#socket.send(JSON.stringify({ type, id, payload }))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#answer(id, failure('The server did not answer.')), ANSWER_TIMEOUT_MS)
      this.#answers.set(id, { resolve, reject, timer })
    })
  }

  /** A token may have ended meanwhile; then a new one is asked for, once. */
  async #protocols() {
    try {
      return (await this.#api.ticket()).protocols
    } catch (error) {
      if (error.statusCode !== 401) throw error
      await this.#api.logIn()
      return (await this.#api.ticket()).protocols
    }
  }

  #listenTo(socket) {
    // logged out while the ticket was on its way
    if (this.#isEnded) return socket.close()
    this.#socket = socket
    const openedAt = Date.now()
    let lastRetryAfter = 0
    socket.addEventListener('message', ({ data }) => {
      const frame = JSON.parse(data)
      if (frame.type === '$error') lastRetryAfter = frame.payload.retryAfter ?? 0
      this.#receive(frame)
    })
    socket.addEventListener('close', ({ code }) => {
      this.#socket = undefined
      if (Date.now() - openedAt > STABLE_MS) this.#backoff.reset()
      this.#closed(code, lastRetryAfter)
    })
  }

  #receive({ type, id, payload }) {
    if (type === '$welcome') {
      this.#id = payload.connection
      this.#tell({ state: 'open' })
      this.#fire('session', { expiresAt: payload.expiresAt })
    } else if (type === '$reply') this.#answer(id, { payload })
    else if (type === '$error') this.#answer(id, { error: errorOf(payload) })
    else if (type === '$expiring') void this.#refresh()
    else this.#fire('event', { type, payload })
  }

  /** Extends the session on the open socket. When that fails, the server closes with 4401 and a new one is opened. */
  async #refresh() {
    try {
      await this.#api.logIn()
      const { ticket } = await this.#api.ticket(this.#id)
      const { expiresAt } = await this.request('$refresh', { ticket })
      this.#fire('session', { expiresAt })
    } catch {
      // the close is what tells
    }
  }

  #answer(id, { payload, error }) {
    const waiting = this.#answers.get(id)
    if (!waiting) return
    this.#answers.delete(id)
    clearTimeout(waiting.timer)
    if (error) waiting.reject(error)
    else waiting.resolve(payload)
  }

  #closed(code, lastRetryAfter) {
    for (const id of [...this.#answers.keys()]) this.#answer(id, failure('The connection was lost.'))
    if (this.#isEnded) return
    if (FINAL.has(code)) return this.close(FINAL.get(code))
    const leastMs = code === LIMITS_EXCEEDED ? Math.max(lastRetryAfter, LIMITS_EXCEEDED_WAIT_MS) : 0
    this.#retryAfter(leastMs, 'The connection was lost.')
  }

  #openFailed(error) {
    if (this.#isEnded) return
    if (error.statusCode === 401 || error.statusCode === 403) return this.close(error.message)
    const isRefusal = error instanceof ApiError
    this.#retryAfter(isRefusal ? error.retryAfterMs : 0, isRefusal ? error.message : 'The server can not be reached.')
  }

  #retryAfter(leastMs, reason) {
    const waitMs = leastMs + this.#backoff.next()
    this.#retryTimer = setTimeout(() => this.open(), waitMs)
    this.#tell({ state: 'waiting', reason, retryAt: Date.now() + waitMs })
  }

  #tell(detail) {
    this.#fire('state', detail)
  }

  #fire(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }))
  }
}

function webSocketUrl(path) {
  const url = new URL(path, location.href)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  return url
}

function failure(message) {
  return { error: new ApiError({ message, code: 'CONNECTION_LOST' }) }
}

function errorOf({ retryAfter, ...payload }) {
  return new ApiError({ ...payload, retryAfterMs: retryAfter })
}
