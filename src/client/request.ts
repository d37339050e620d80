import type { ClientClock } from './clock.js'
import { type ClientErrorCode, clientError, type WsTicketError } from './error.js'
import type { Write } from './socket.js'

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

/** A message whose answer is waited for. */
export interface Request {
  send(write: Write): void
  /** The connection is gone. Returns whether it waits for the next one; elsewhere it has failed. */
  lost(): boolean
  fail(code: ClientErrorCode, message: string): void
  /** Ends it with the reply, or the error where there is one. What comes after that changes nothing. */
  settle(error?: WsTicketError, reply?: unknown): void
}

/**
 * A message that waits for a connection.
 *
 * @param why there is no connection, as far as it is known
 * @param settled is told what it ended with
 */
export function newRequest(
  settings: RequestSettings,
  { signal, timeout = settings.timeout, repeat = false }: SendOptions,
  text: string,
  why: () => WsTicketError | undefined,
  settled: (error?: WsTicketError, reply?: unknown) => void
): Request {
  let missing = 'connection'
  let mayHaveExecuted = false

  function settle(error?: WsTicketError, reply?: unknown): void {
    repeat = false
    stopTimer()
    signal?.removeEventListener('abort', abort)
    settled(error, reply)
  }

  function fail(code: ClientErrorCode, message: string, cause: unknown = why()): void {
    settle(clientError(code, message, { cause, mayHaveExecuted }))
  }

  const abort = () => fail('ABORTED', 'Aborted.', signal?.reason)
  const stopTimer = settings.clock.after(timeout, () => fail('TIMEOUT', `No ${missing} within ${timeout} ms.`))
  signal?.addEventListener('abort', abort)
  if (signal?.aborted) abort()

  return {
    send(write) {
      missing = 'answer'
      mayHaveExecuted = true
      write(text)
    },

    lost() {
      missing = 'connection'
      if (!repeat) fail('DISCONNECTED', 'The connection was lost.')
      return repeat
    },

    fail,
    settle
  }
}
