import type { ClientClock } from './clock.js'

export interface HeartbeatSettings {
  readonly clock: ClientClock
  readonly heartbeat: number
  readonly heartbeatTimeout: number
}

export interface Heartbeat {
  /** A frame has come. */
  seen(): void
  /** Asks now, since something may have happened. */
  check(): void
  stop(): void
}

/**
 * Notices that nothing comes any more: a page sees none of the server's pings, and a broken line may tell nothing for minutes.
 *
 * @param ping asks the server for a frame
 * @param dead is called when there was none
 */
export function watchHeartbeat({ clock, heartbeat, heartbeatTimeout }: HeartbeatSettings, ping: () => void, dead: () => void): Heartbeat {
  let isAwaiting = false
  let stop = () => {}

  function wait(ms: number, task: () => void): void {
    stop()
    stop = clock.after(ms, task)
  }

  function check(): void {
    if (isAwaiting) return
    isAwaiting = true
    wait(heartbeatTimeout, dead)
    ping()
  }

  return {
    seen() {
      isAwaiting = false
      wait(heartbeat, check)
    },
    check,
    stop: () => stop()
  }
}
