import type { Clock } from '../clock.js'
import type { Target } from '../publish/bus.js'
import type { LiveConnection } from './live-connection.js'

const ROUND_MS = 250

/** The open connections of one route, by id and by user. */
export class ConnectionRegistry {
  readonly #byId = new Map<string, LiveConnection>()
  readonly #byUser = new Map<string, Set<LiveConnection>>()
  readonly #onEmpty: (() => void)[] = []

  get size(): number {
    return this.#byId.size
  }

  all(): LiveConnection[] {
    return [...this.#byId.values()]
  }

  find(target: Target): LiveConnection[] {
    if ('all' in target) return this.all()
    if ('user' in target) return [...(this.#byUser.get(target.user) ?? [])]
    const connection = this.#byId.get(target.connection)
    return connection ? [connection] : []
  }

  add(connection: LiveConnection): void {
    this.#byId.set(connection.id, connection)
    const connections = this.#byUser.get(connection.userId)
    if (connections) connections.add(connection)
    else this.#byUser.set(connection.userId, new Set([connection]))
  }

  remove(connection: LiveConnection): void {
    this.#byId.delete(connection.id)
    const connections = this.#byUser.get(connection.userId)
    connections?.delete(connection)
    if (connections?.size === 0) this.#byUser.delete(connection.userId)
    if (this.size > 0) return
    for (const resolve of this.#onEmpty.splice(0)) resolve()
  }

  /** Resolves when there is no connection left. */
  whenEmpty(): Promise<void> {
    if (this.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onEmpty.push(resolve))
  }

  tick(now: number): void {
    for (const connection of this.#byId.values()) connection.tick(now)
  }
}

/** Something that has to be looked after every now and then. */
export interface Ticking {
  tick(now: number): void
}

/** Looks after everything in rounds, with one timer for all. Returns what stops it. */
export function startRounds(clock: Clock, things: () => Iterable<Ticking>): () => void {
  return clock.every(ROUND_MS, () => {
    const now = clock.now()
    for (const thing of things()) thing.tick(now)
  })
}
