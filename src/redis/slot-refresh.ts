import type { Clock } from '../clock.js'
import type { ClusterConnection } from './client.js'

const REST_MS = 250

/** Asks a Cluster which servers have which slots: at once, but not all the time. */
export class SlotRefresh {
  readonly #cluster: ClusterConnection
  readonly #clock: Clock
  readonly #refreshed: () => void
  /** From when it asks until it has rested. */
  #isBusy = false
  #isWantedAgain = false
  #isClosed = false
  #stopResting: (() => void) | undefined

  /** @param refreshed is called when it has asked, even if no server has answered */
  constructor(cluster: ClusterConnection, clock: Clock, refreshed: () => void) {
    this.#cluster = cluster
    this.#clock = clock
    this.#refreshed = refreshed
  }

  /** Asks; or, where it has just asked or does right now, asks once more a little later. */
  request(): void {
    this.#isWantedAgain = this.#isBusy
    if (this.#isBusy || this.#isClosed) return
    this.#isBusy = true
    this.#cluster.refreshSlotsCache(() => this.#done())
  }

  close(): void {
    this.#isClosed = true
    this.#stopResting?.()
  }

  #done(): void {
    if (this.#isClosed) return
    this.#refreshed()
    this.#stopResting = this.#clock.every(REST_MS, () => this.#rested())
  }

  #rested(): void {
    this.#stopResting?.()
    this.#isBusy = false
    if (this.#isWantedAgain) this.request()
  }
}
