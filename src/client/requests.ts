import { clientError, type WsTicketError } from './error.js'
import type { Line } from './line.js'
import { newRequest, type Request, type RequestSettings, type SendOptions } from './request.js'

/** Messages that are not answered yet: those that wait for a connection, in their order, and those that are on the wire. */
export interface Requests {
  /** Resolves with the reply; rejects with a {@link WsTicketError}, or a TypeError for a payload that is no JSON. */
  send(type: string, payload: unknown, options?: SendOptions): Promise<unknown>
  /** There is a connection. What waits is sent after what the greeting sends. */
  opened(line: Line, greet: () => void): void
  /** What an attempt waits for: it tells why there is no connection where no other has failed yet. */
  awaits(missing: string): void
  /** The connection is gone: what was on the wire waits for the next one where it may be repeated, and fails elsewhere. */
  lost(reason: WsTicketError): void
  /** There will be no connection any more. */
  close(reason?: WsTicketError): void
}

export function keepRequests(settings: RequestSettings): Requests {
  const queue = new Map<unknown, Request>()
  let lastId = 0
  let line: Line | undefined
  let closed = ''
  /** Why there is no connection, as far as it is known. */
  let failure: WsTicketError | undefined
  let hasFailed = false

  function transmit(request: Request, id: unknown): void {
    if (!line) return
    queue.delete(id)
    line.send(request, id)
  }

  return {
    send: (type, payload, options = {}) =>
      new Promise((resolve, reject) => {
        const id = ++lastId
        const text = JSON.stringify({ type, id, payload })
        const request = newRequest(
          settings,
          options,
          text,
          () => failure,
          (error, reply) => {
            queue.delete(id)
            error ? reject(error) : resolve(reply)
          }
        )
        if (closed) return request.fail('CLIENT_CLOSED', closed)
        if (options.signal?.aborted) return
        if (!line && queue.size >= settings.queueLimit) return request.fail('QUEUE_FULL', `${settings.queueLimit} messages wait already.`)
        queue.set(id, request)
        transmit(request, id)
      }),

    opened(newLine, greet) {
      line = newLine
      failure = undefined
      greet()
      queue.forEach(transmit)
    },

    awaits(text) {
      if (!hasFailed) failure = clientError('DISCONNECTED', text)
    },

    lost(reason) {
      failure = reason
      hasFailed = true
      for (const [id, request] of line?.owed ?? []) if (request.lost()) queue.set(id, request)
      line = undefined
    },

    close(reason = failure) {
      failure = reason
      closed = `The client was closed with${line ? '' : 'out'} a connection.`
      for (const [, request] of [...queue, ...(line?.owed ?? [])]) request.fail('CLIENT_CLOSED', closed)
    }
  }
}
