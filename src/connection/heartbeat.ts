export interface HeartbeatSettings {
  readonly pingIntervalMs: number
  readonly pongTimeoutMs: number
}

/** What is due in a heartbeat. */
export type HeartbeatEvent = 'none' | 'ping' | 'dead'

/**
 * When to ping and when a peer counts as dead. Only the pong that carries the ping's data counts
 * (RFC 6455, section 5.5.3), so that a peer which reads nothing can not keep itself alive.
 */
export class Heartbeat {
  readonly #settings: HeartbeatSettings
  #nextPingAt: number
  #pongDueAt = Number.POSITIVE_INFINITY
  #awaited: Buffer | undefined

  constructor(settings: HeartbeatSettings, now: number) {
    this.#settings = settings
    this.#nextPingAt = now + settings.pingIntervalMs
  }

  due(now: number): HeartbeatEvent {
    if (now >= this.#pongDueAt) return 'dead'
    return this.#awaited === undefined && now >= this.#nextPingAt ? 'ping' : 'none'
  }

  pinged(data: Buffer, now: number): void {
    this.#awaited = data
    this.#pongDueAt = now + this.#settings.pongTimeoutMs
    this.#nextPingAt = now + this.#settings.pingIntervalMs
  }

  ponged(data: Buffer): void {
    if (!this.#awaited?.equals(data)) return
    this.#awaited = undefined
    this.#pongDueAt = Number.POSITIVE_INFINITY
  }
}
