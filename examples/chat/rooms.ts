/** What a room needs to know of who is in it. */
export interface Member {
  /** The id of the connection. */
  readonly id: string
  readonly userId: string
}

/** Who is in which room. Connections are members, since one user may have several; names are told once each. */
export interface Rooms {
  join(room: string, member: Member): Promise<void>
  leave(room: string, member: Member): Promise<void>
  leaveAll(member: Member): Promise<void>
  /** Is that connection in the room? */
  has(room: string, member: Member): boolean
  /** The rooms of that connection. */
  roomsOf(member: Member): string[]
  /** The names in a room, sorted. */
  namesIn(room: string): Promise<string[]>
  close(): Promise<void>
}

/** The rooms of one process. */
export class LocalRooms implements Rooms {
  /** The connections in each room, with the names of their users. */
  readonly #members = new Map<string, Map<string, string>>()
  /** The rooms of each connection. */
  readonly #rooms = new Map<string, Set<string>>()

  async join(room: string, { id, userId }: Member): Promise<void> {
    entryOf(this.#members, room, () => new Map()).set(id, userId)
    entryOf(this.#rooms, id, () => new Set()).add(room)
  }

  async leave(room: string, { id }: Member): Promise<void> {
    const members = this.#members.get(room)
    members?.delete(id)
    if (members?.size === 0) this.#members.delete(room)
    const rooms = this.#rooms.get(id)
    rooms?.delete(room)
    if (rooms?.size === 0) this.#rooms.delete(id)
  }

  async leaveAll(member: Member): Promise<void> {
    for (const room of this.roomsOf(member)) await this.leave(room, member)
  }

  has(room: string, { id }: Member): boolean {
    return this.#members.get(room)?.has(id) ?? false
  }

  roomsOf({ id }: Member): string[] {
    return [...(this.#rooms.get(id) ?? [])]
  }

  async namesIn(room: string): Promise<string[]> {
    return this.names(room)
  }

  /** The names in a room of this process, sorted. */
  names(room: string): string[] {
    return [...new Set(this.#members.get(room)?.values())].sort()
  }

  /** All rooms of this process that somebody is in. */
  get all(): string[] {
    return [...this.#members.keys()]
  }

  async close(): Promise<void> {
    this.#members.clear()
    this.#rooms.clear()
  }
}

function entryOf<Value>(map: Map<string, Value>, key: string, create: () => Value): Value {
  const known = map.get(key)
  if (known !== undefined) return known
  const value = create()
  map.set(key, value)
  return value
}
