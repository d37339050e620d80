import { fail } from '../errors.js'
import type { ConnectionCaps } from '../options.js'

/** How many places there are for a key, and how many are taken. */
class Places {
  readonly max: number
  readonly #taken = new Map<string, number>()

  constructor(max: number) {
    this.max = max
  }

  /** Takes a place: what gives it back, or undefined when there is none. */
  take(key: string): (() => void) | undefined {
    if (this.isFull(key)) return undefined
    this.#taken.set(key, this.#count(key) + 1)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#giveBack(key)
    }
  }

  isFull(key: string): boolean {
    return this.#count(key) >= this.max
  }

  get keys(): number {
    return this.#taken.size
  }

  #count(key: string): number {
    return this.#taken.get(key) ?? 0
  }

  #giveBack(key: string): void {
    const left = this.#count(key) - 1
    if (left > 0) this.#taken.set(key, left)
    else this.#taken.delete(key)
  }
}

const ALL = ''
const RETRY_AFTER_MS = 5000

/**
 * How many connections there may be in all, from one address, and of one user. Places are taken before the ticket is
 * redeemed and given back when the handshake is refused or the connection is closed.
 */
export class ConnectionLimits {
  readonly #total: Places
  readonly #perIp: Places
  readonly #perUser: Places

  /** @param shared the plugin's; a route counts with them where its cap is the same, else by itself */
  constructor(caps: ConnectionCaps, shared?: ConnectionLimits) {
    this.#total = sharedOrOwn(caps.total, shared ? shared.#total : undefined)
    this.#perIp = sharedOrOwn(caps.perIp, shared ? shared.#perIp : undefined)
    this.#perUser = sharedOrOwn(caps.perUser, shared ? shared.#perUser : undefined)
  }

  /**
   * Is there room for one more connection of this user? For the ticket route, which can tell a browser.
   * @throws FST_WS_TICKET_SERVER_FULL, FST_WS_TICKET_IP_CONNECTED, FST_WS_TICKET_USER_CONNECTED
   */
  checkRoom(ipKey: string, userId: string): void {
    if (this.#total.isFull(ALL)) throw this.#serverFull()
    if (this.#perIp.isFull(ipKey)) throw this.#ipFull()
    if (this.#perUser.isFull(userId)) throw fail('USER_CONNECTED', [this.#perUser.max], { retryAfterMs: RETRY_AFTER_MS })
  }

  /** @throws FST_WS_TICKET_SERVER_FULL */
  takeTotal(): () => void {
    const release = this.#total.take(ALL)
    if (!release) throw this.#serverFull()
    return release
  }

  /** @throws FST_WS_TICKET_IP_CONNECTED */
  takeIp(ipKey: string): () => void {
    const release = this.#perIp.take(ipKey)
    if (!release) throw this.#ipFull()
    return release
  }

  /** @throws FST_WS_TICKET_USER_CONNECTION_LIMIT */
  takeUser(userId: string): () => void {
    const release = this.#perUser.take(userId)
    if (!release) throw fail('USER_CONNECTION_LIMIT', [this.#perUser.max], { retryAfterMs: RETRY_AFTER_MS })
    return release
  }

  /** How many addresses and users hold places in any of these; what they share counts once. */
  static countKeys(all: readonly ConnectionLimits[]): { ips: number; users: number } {
    return { ips: sumOfKeys(all.map((limits) => limits.#perIp)), users: sumOfKeys(all.map((limits) => limits.#perUser)) }
  }

  #serverFull(): Error {
    return fail('SERVER_FULL', [], { retryAfterMs: RETRY_AFTER_MS })
  }

  #ipFull(): Error {
    return fail('IP_CONNECTED', [this.#perIp.max], { retryAfterMs: RETRY_AFTER_MS })
  }
}

function sumOfKeys(places: Places[]): number {
  return [...new Set(places)].reduce((sum, { keys }) => sum + keys, 0)
}

function sharedOrOwn(max: number, shared: Places | undefined): Places {
  return shared?.max === max ? shared : new Places(max)
}
