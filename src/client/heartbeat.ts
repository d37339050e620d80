import type { Timer } from './clock.js'

export interface HeartbeatSettings {
  readonly after: Timer
  readonly heartbeat: number
  readonly heartbeatTimeout: number
}

export interface Heartbeat {
  /** A frame has come. */
  seen(): void
  /** Asks now, since something may have happened. */
  check(): void
}

/**
 * Notices that nothing comes any more: a page sees none of the server's pings, and a broken line may tell nothing for minutes.
 *
 * @param ping asks the server for a frame
 * @param dead is called when there was none
 */
export function watchHeartbeat({ after, heartbeat, heartbeatTimeout }: HeartbeatSettings, ping: () => void, dead: () => void): Heartbeat {
  let isAwaiting = false

  function check(): void {
    if (isAwaiting) return
    isAwaiting = true
    after(heartbeatTimeout, dead)
    ping()
  }

  return {
    seen() {
      isAwaiting = false
      after(heartbeat, check)
    },
    check
  }
}
