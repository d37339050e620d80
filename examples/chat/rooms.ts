/** What a room needs to know of who is in it. */
export interface Member {
  /** The id of the connection. */
  readonly id: string
  readonly userId: string
}

/**
 * Who is in which room. Connections are members, since one user may have several; names are told once each.
 * It has the memory of one process: with several, keep this in Redis.
 */
export class Rooms {
  /** The connections in each room, with the names of their users. */
  readonly #members = new Map<string, Map<string, string>>()
  /** The rooms of each connection. */
  readonly #rooms = new Map<string, Set<string>>()

  join(room: string, { id, userId }: Member): void {
    entryOf(this.#members, room, () => new Map()).set(id, userId)
    entryOf(this.#rooms, id, () => new Set()).add(room)
  }

  leave(room: string, { id }: Member): void {
    const members = this.#members.get(room)
    members?.delete(id)
    if (members?.size === 0) this.#members.delete(room)
    const rooms = this.#rooms.get(id)
    rooms?.delete(room)
    if (rooms?.size === 0) this.#rooms.delete(id)
  }

  leaveAll(member: Member): void {
    for (const room of this.roomsOf(member)) this.leave(room, member)
  }

  has(room: string, { id }: Member): boolean {
    return this.#members.get(room)?.has(id) ?? false
  }

  /** The names in a room, sorted. */
  namesIn(room: string): string[] {
    return [...new Set(this.#members.get(room)?.values())].sort()
  }

  roomsOf({ id }: Member): string[] {
    return [...(this.#rooms.get(id) ?? [])]
  }
}

function entryOf<Value>(map: Map<string, Value>, key: string, create: () => Value): Value {
  const known = map.get(key)
  if (known !== undefined) return known
  const value = create()
  map.set(key, value)
  return value
}
