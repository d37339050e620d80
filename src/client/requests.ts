import type { ClientClock } from './clock.js'
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
  /** Puts it on the wire where it waits for that, and there is a connection. */
  transmit(): void
  /** The connection is gone: it waits for the next one where it may be repeated, and fails elsewhere where it was on the wire. */
  lost(reason: WsTicketError): void
  fail(code: ClientErrorCode, message: string, cause: unknown): void
  /** Takes it off, and ends watching time and signal. */
  release(): void
  resolve(reply: unknown): void
  reject(error: WsTicketError): void
}

/** Messages that are not answered yet: those that wait for a connection, in their order, and those that are on the wire. */
export interface Requests {
  /** Resolves with the reply; rejects with a {@link WsTicketError}, or a TypeError for a payload that is no JSON. */
  send(type: string, payload: unknown, options?: SendOptions): Promise<unknown>
  /** There is a connection. What waits is sent by {@link flush}, after what is sent until then. */
  connected(write: (text: string) => void): void
  flush(): void
  /** Does the server owe an answer? */
  readonly isWaiting: boolean
  /** A reply without an id answers nothing. */
  replied(id: number | undefined, reply: unknown): void
  /** An error without an id is the answer to some message that was refused unread. */
  refused(id: number | undefined, error: WsTicketError): void
  /** The connection is gone: what was on the wire waits for the next one where it may be repeated, and fails elsewhere. */
  disconnected(reason: WsTicketError): void
  /** There will be no connection any more. */
  close(reason?: WsTicketError): void
}

export function keepRequests(settings: RequestSettings): Requests {
  const requests = new Map<number, Request>()
  /** What this connection has yet to answer, also where nobody waits any more. */
  const unanswered = new Set<number>()
  let refusals: WsTicketError[] = []
  let lastId = 0
  let write: ((text: string) => void) | undefined
  let closed = ''
  /** Why there is no connection, as far as it is known. */
  let failure: WsTicketError | undefined

  /** The message that is answered; none where it was given up before. */
  function take(id: number): Request | undefined {
    const request = requests.get(id)
    unanswered.delete(id)
    request?.release()
    return request
  }

  /** When as many messages are unanswered as were refused without an id, it is they that were. */
  function refuseRest(): void {
    const [error] = refusals
    if (!error || refusals.length < unanswered.size) return
    refusals = []
    for (const id of [...unanswered]) take(id)?.reject(error)
  }

  return {
    send: (type, payload, { signal, timeout = settings.timeout, repeat = false } = {}) =>
      new Promise((resolve, reject) => {
        const id = ++lastId
        const text = JSON.stringify({ type, id, payload })
        let isQueued = true
        let mayHaveExecuted = false
        const release = () => {
          requests.delete(id)
          stopTimer()
          signal?.removeEventListener('abort', abort)
        }
        const fail = (code: ClientErrorCode, message: string, cause: unknown) => {
          release()
          reject(clientError(code, message, { cause, mayHaveExecuted }))
        }
        const transmit = () => {
          if (!write || !isQueued) return
          isQueued = false
          mayHaveExecuted = true
          unanswered.add(id)
          write(text)
        }
        const lost = (reason: WsTicketError) => {
          isQueued ||= repeat
          if (!isQueued) fail('DISCONNECTED', 'The connection was lost.', reason)
        }
        const abort = () => fail('ABORTED', 'Aborted.', signal?.reason)
        const stopTimer = settings.clock.after(timeout, () =>
          fail('TIMEOUT', `${write ? 'No answer' : 'No connection'} within ${timeout} ms.`, failure)
        )
        signal?.addEventListener('abort', abort)
        if (closed) return fail('CLIENT_CLOSED', closed, failure)
        if (signal?.aborted) return abort()
        if (!write && requests.size >= settings.queueLimit)
          return fail('QUEUE_FULL', `${settings.queueLimit} messages wait already.`, failure)
        requests.set(id, { transmit, lost, fail, release, resolve, reject })
        transmit()
      }),

    connected(newWrite) {
      write = newWrite
      failure = undefined
    },

    flush() {
      for (const [, request] of requests) request.transmit()
    },

    get isWaiting() {
      return unanswered.size > 0
    },

    // ids begin with 1
    replied(id = 0, reply) {
      take(id)?.resolve(reply)
      refuseRest()
    },

    refused(id, error) {
      if (id === undefined) refusals.push(error)
      else take(id)?.reject(error)
      refuseRest()
    },

    disconnected(reason) {
      write = undefined
      failure = reason
      unanswered.clear()
      refusals = []
      for (const [, request] of requests) request.lost(reason)
    },

    close(reason = failure) {
      failure = reason
      closed = `The client was closed ${write ? 'with' : 'without'} a connection.`
      for (const [, request] of requests) request.fail('CLIENT_CLOSED', closed, failure)
    }
  }
}
