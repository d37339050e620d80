import type { Clock } from '../clock.js'

export interface SessionSettings {
  readonly maxSessionMs: number
  readonly expiryNoticeMs: number
}

/** What is due in a session. */
export type SessionEvent = 'none' | 'notice' | 'expired'

/** How long a connection is authenticated: until its JWT ends, at most `maxSessionMs`. */
export class Session {
  readonly #clock: Clock
  readonly #settings: SessionSettings
  #expiresAt = 0
  #endsAt = 0
  #noticeAt = 0

  /** @param authenticatedUntil the end of the JWT in milliseconds since 1970; null where it has none */
  constructor(clock: Clock, settings: SessionSettings, authenticatedUntil: number | null) {
    this.#clock = clock
    this.#settings = settings
    this.renew(authenticatedUntil)
  }

  /** The end of the session in milliseconds since 1970. */
  get expiresAt(): number {
    return this.#expiresAt
  }

  renew(authenticatedUntil: number | null): void {
    const { maxSessionMs, expiryNoticeMs } = this.#settings
    const wall = this.#clock.wall()
    const now = this.#clock.now()
    const lengthMs = Math.min(maxSessionMs, (authenticatedUntil ?? Number.POSITIVE_INFINITY) - wall)
    this.#expiresAt = Math.round(wall + lengthMs)
    this.#endsAt = now + lengthMs
    this.#noticeAt = this.#endsAt - Math.min(expiryNoticeMs, lengthMs / 2)
  }

  isExpired(now: number): boolean {
    return now >= this.#endsAt
  }

  /** What is due now; a notice is due once. */
  takeEvent(now: number): SessionEvent {
    if (this.isExpired(now)) return 'expired'
    if (now < this.#noticeAt) return 'none'
    this.#noticeAt = Number.POSITIVE_INFINITY
    return 'notice'
  }
}
