/** The places for one user each, on this node or on all of them together. */
export interface UserPlaces {
  /** How many there are for each user. */
  readonly max: number
  /** How many users hold places on this node. */
  readonly keys: number
  /**
   * Takes a place: what gives it back, or undefined when there is none.
   * @throws FST_WS_TICKET_UNAVAILABLE when it can not be known
   */
  take(userId: string): Promise<(() => void) | undefined>
  /**
   * Is there none left for this user?
   * @throws FST_WS_TICKET_UNAVAILABLE when it can not be known
   */
  isFull(userId: string): Promise<boolean>
}

/** Makes the places of one cap; `name` tells them from those of other caps. */
export type CreateUserPlaces = (max: number, name: string) => UserPlaces

/** The places for users on this node alone. */
export function localUserPlaces(max: number): UserPlaces {
  const places = new Places(max)
  return {
    max,
    get keys() {
      return places.keys
    },
    take: async (userId) => places.take(userId),
    isFull: async (userId) => places.isFull(userId)
  }
}

/** How many places there are for a key, and how many are taken. */
export class Places {
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
