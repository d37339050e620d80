import type { ChatClient } from './chat-client.js'

/** What somebody said, or a notice of the page's own. */
export type Line = { readonly from: string; readonly text: string; readonly at: string } | { readonly notice: string }

export interface Room {
  readonly name: string
  members: readonly string[]
  readonly lines: Line[]
  unread: number
}

export interface RoomsEvents {
  /** Rooms, members or unread counts are others. */
  changed(): void
  /** The room has a new last line. */
  line(room: Room): void
}

/** Older lines of a room are forgotten. */
const MAX_LINES = 300

/** The rooms that the user is in, and what is said there. Knows nothing of how it looks. */
export class Rooms {
  readonly #client: ChatClient
  readonly #events: RoomsEvents
  readonly #rooms = new Map<string, Room>()
  #current = ''

  constructor(client: ChatClient, events: RoomsEvents) {
    this.#client = client
    this.#events = events
    client.on('chat.message', ({ room, ...line }) => this.#receive(room, line))
  }

  /** The room that is shown; undefined when there is none. */
  get current(): Room | undefined {
    return this.#rooms.get(this.#current)
  }

  get all(): readonly Room[] {
    return [...this.#rooms.values()]
  }

  async join(name: string): Promise<void> {
    const { members } = await this.#client.send('room.join', { room: name })
    const room = this.#rooms.get(name) ?? { name, members, lines: [], unread: 0 }
    room.members = members
    this.#rooms.set(name, room)
    this.#events.changed()
  }

  async leave(name: string): Promise<void> {
    await this.#client.send('room.leave', { room: name })
    this.#rooms.delete(name)
    if (this.#current === name) this.#current = this.all[0]?.name ?? ''
    this.select(this.#current)
  }

  select(name: string): void {
    this.#current = name
    if (this.current) this.current.unread = 0
    this.#events.changed()
  }

  async say(text: string): Promise<void> {
    await this.#client.send('chat.send', { room: this.#current, text })
  }

  /** A new connection is in no room yet. */
  async joinAgain(): Promise<void> {
    const rooms = this.all
    await Promise.all(rooms.map(({ name }) => this.join(name)))
    for (const room of rooms) this.#add(room, { notice: 'Connected again. What was said meanwhile is not shown.' })
  }

  /** Asks again who is in the room that is shown. */
  async updateMembers(): Promise<void> {
    if (this.current && this.#client.status === 'open') await this.join(this.current.name)
  }

  #receive(name: string, line: Line & { readonly from: string }): void {
    const room = this.#rooms.get(name)
    if (!room) return
    this.#add(room, line)
    if (!room.members.includes(line.from)) void this.join(name).catch(() => {})
    if (room === this.current) return
    room.unread++
    this.#events.changed()
  }

  #add(room: Room, line: Line): void {
    room.lines.push(line)
    if (room.lines.length > MAX_LINES) room.lines.shift()
    this.#events.line(room)
  }
}
