import type { User } from '../user.js'

/** Who was let in, and where. Nothing in it belongs to the HTTP request. */
export interface Admission {
  readonly id: string
  readonly user: User
  readonly userId: string
  readonly context: unknown
  readonly params: unknown
  /** The concrete path, as a ticket is bound to it. */
  readonly path: string
  readonly origin: string | null
  readonly ip: string
  /** The address, IPv6 as its /64. */
  readonly ipKey: string
  readonly authenticatedUntil: number | null
  /** Gives the connection's place back; called once, when it is closed. */
  readonly release: () => void
}
