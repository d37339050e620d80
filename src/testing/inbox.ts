import { WsTicketError } from '../client/error.js'
import type { ServerFrame } from '../client/frame.js'

/** How a connection was closed (RFC 6455, section 7.1). */
export interface Closed {
  readonly code: number
  readonly reason: string
}

interface Waiter {
  readonly type: string | undefined
  readonly resolve: (frame: ServerFrame) => void
  /** What was waited for does not come any more. */
  readonly fail: () => void
}

/** The frames of one connection: what comes is kept until it is asked for. */
export class Inbox {
  readonly #unread: ServerFrame[] = []
  readonly #waiters = new Set<Waiter>()
  #closed: Closed | undefined

  /** Frames that came and were not asked for, the oldest first. */
  get unread(): readonly ServerFrame[] {
    return this.#unread
  }

  put(frame: ServerFrame): void {
    const waiter = [...this.#waiters].find(({ type }) => isOfType(frame, type))
    if (waiter) waiter.resolve(frame)
    else this.#unread.push(frame)
  }

  /** Nothing comes any more. */
  close(closed: Closed): void {
    this.#closed = closed
    for (const { fail } of this.#waiters) fail()
  }

  /**
   * The oldest frame of the type, or of any; those of other types stay. Rejects with the error of {@link missing} where none comes
   * in time, or the connection is closed.
   */
  async take(type: string | undefined, timeoutMs: number): Promise<ServerFrame> {
    const index = this.#unread.findIndex((frame) => isOfType(frame, type))
    const [found] = index < 0 ? [] : this.#unread.splice(index, 1)
    return found ?? (await this.#wait(type, timeoutMs))
  }

  /** An error that says what came instead of what was waited for. */
  missing(what: string, timeoutMs: number): WsTicketError {
    const instead = this.#unread.length === 0 ? 'nothing else came' : `unread is ${this.#unread.map(show).join(', ')}`
    if (!this.#closed) return new WsTicketError('TIMEOUT', `${what} did not come within ${timeoutMs} ms; ${instead}.`)
    const { code, reason } = this.#closed
    return new WsTicketError('DISCONNECTED', `${what} did not come: closed with ${code} '${reason}'; ${instead}.`, { closeCode: code })
  }

  #wait(type: string | undefined, timeoutMs: number): Promise<ServerFrame> {
    const what = type ?? 'A frame'
    if (this.#closed) throw this.missing(what, timeoutMs)
    return new Promise((resolve, reject) => {
      const fail = () => {
        leave()
        reject(this.missing(what, timeoutMs))
      }
      const timer = setTimeout(fail, timeoutMs)
      const waiter: Waiter = {
        type,
        fail,
        resolve(frame) {
          leave()
          resolve(frame)
        }
      }
      const leave = () => {
        clearTimeout(timer)
        this.#waiters.delete(waiter)
      }
      this.#waiters.add(waiter)
    })
  }
}

const MAX_SHOWN = 300

function show(frame: ServerFrame): string {
  const text = JSON.stringify(frame)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

function isOfType(frame: ServerFrame, type: string | undefined): boolean {
  return type === undefined || frame.type === type
}
