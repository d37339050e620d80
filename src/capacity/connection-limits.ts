import { fail } from '../errors.js'
import type { ConnectionCaps } from '../options.js'
import { type CreateUserPlaces, localUserPlaces, Places, type UserPlaces } from './places.js'

const ALL = ''
const RETRY_AFTER_MS = 5000

/**
 * How many connections there may be in all, from one address, and of one user. Places are taken before the ticket is
 * redeemed and given back when the handshake is refused or the connection is closed.
 */
export class ConnectionLimits {
  readonly #total: Places
  readonly #perIp: Places
  readonly #perUser: UserPlaces
  readonly #createUserPlaces: CreateUserPlaces

  /**
   * @param name tells the places of these caps from those of others
   * @param createUserPlaces makes the places that all nodes may share
   * @param shared the plugin's; a route counts with them where its cap is the same, else by itself
   */
  private constructor(caps: ConnectionCaps, name: string, createUserPlaces: CreateUserPlaces, shared?: ConnectionLimits) {
    this.#total = sharedOrOwn(shared ? shared.#total : undefined, caps.total, () => new Places(caps.total))
    this.#perIp = sharedOrOwn(shared ? shared.#perIp : undefined, caps.perIp, () => new Places(caps.perIp))
    this.#perUser = sharedOrOwn(shared ? shared.#perUser : undefined, caps.perUser, () => createUserPlaces(caps.perUser, name))
    this.#createUserPlaces = createUserPlaces
  }

  /** The limits of the plugin, which its routes share. */
  static ofPlugin(caps: ConnectionCaps, createUserPlaces: CreateUserPlaces = localUserPlaces): ConnectionLimits {
    return new ConnectionLimits(caps, 'all', createUserPlaces)
  }

  /** The limits of a route: what has the same cap here is counted together, the rest by itself. */
  ofRoute(caps: ConnectionCaps, route: string): ConnectionLimits {
    return new ConnectionLimits(caps, `route ${route}`, this.#createUserPlaces, this)
  }

  /**
   * Is there room for one more connection of this user? For the ticket route, which can tell a browser.
   * @throws FST_WS_TICKET_SERVER_FULL, FST_WS_TICKET_IP_CONNECTED, FST_WS_TICKET_USER_CONNECTED, FST_WS_TICKET_UNAVAILABLE
   */
  async checkRoom(ipKey: string, userId: string): Promise<void> {
    if (this.#total.isFull(ALL)) throw this.#serverFull()
    if (this.#perIp.isFull(ipKey)) throw this.#ipFull()
    if (await this.#perUser.isFull(userId)) throw fail('USER_CONNECTED', [this.#perUser.max], { retryAfterMs: RETRY_AFTER_MS })
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

  /** @throws FST_WS_TICKET_USER_CONNECTION_LIMIT, FST_WS_TICKET_UNAVAILABLE */
  async takeUser(userId: string): Promise<() => void> {
    const release = await this.#perUser.take(userId)
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

function sumOfKeys(places: { readonly keys: number }[]): number {
  return [...new Set(places)].reduce((sum, { keys }) => sum + keys, 0)
}

function sharedOrOwn<T extends { readonly max: number }>(shared: T | undefined, max: number, create: () => T): T {
  return shared?.max === max ? shared : create()
}
