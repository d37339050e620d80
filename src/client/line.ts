import type { WsTicketError } from './error.js'
import type { Request } from './request.js'
import type { Write } from './socket.js'

/** The messages that one connection carries. */
export interface Line {
  /** What the server has yet to answer, also where nobody waits any more. */
  readonly owed: ReadonlyMap<unknown, Request>
  /** What the server last asked to wait for. */
  retryAfter?: number | undefined
  send(request: Request, id: unknown): void
  /** A reply without an id answers nothing; an error without one is the answer to some message that was refused unread. */
  settle(id: unknown, error: WsTicketError | undefined, reply?: unknown): void
}

export function openLine(write: Write): Line {
  const owed = new Map<unknown, Request>()
  let refusals: WsTicketError[] = []
  const line: Line = {
    owed,

    send(request, id) {
      owed.set(id, request)
      request.send(write)
    },

    settle(id, error, reply) {
      if (error) line.retryAfter = error.retryAfter
      owed.get(id)?.settle(error, reply)
      owed.delete(id)
      if (error && id === undefined) refusals.push(error)
      const [refusal] = refusals
      // when as many answers are owed as messages were refused without an id, these are they
      if (!refusal || refusals.length < owed.size) return
      refusals = []
      for (const [id] of owed) line.settle(id, refusal)
    }
  }
  return line
}
