/** The rooms that the user is in, and what is said there. Knows nothing of how it looks. */

/** Older lines of a room are forgotten. */
const MAX_LINES = 300

/** Fires `change` when rooms, members or unread counts change, and `line` with detail `{ room, line }`. */
export class Rooms extends EventTarget {
  #connection
  #rooms = new Map()
  #current

  constructor(connection) {
    super()
    this.#connection = connection
    connection.addEventListener('event', ({ detail }) => {
      if (detail.type === 'chat.message') this.#receive(detail.payload)
    })
  }

  /** The room that is shown; undefined when there is none. */
  get current() {
    return this.#rooms.get(this.#current)
  }

  get all() {
    return [...this.#rooms.values()]
  }

  async join(name) {
    const { members } = await this.#connection.request('room.join', { room: name })
    const room = this.#rooms.get(name) ?? { name, members, lines: [], unread: 0 }
    room.members = members
    this.#rooms.set(name, room)
    this.#changed()
  }

  async leave(name) {
    await this.#connection.request('room.leave', { room: name })
    this.#rooms.delete(name)
    if (this.#current === name) this.#current = this.all[0]?.name
    this.select(this.#current)
  }

  select(name) {
    this.#current = name
    if (this.current) this.current.unread = 0
    this.#changed()
  }

  async send(text) {
    await this.#connection.request('chat.send', { room: this.#current, text })
  }

  /** A new connection is in no room yet. */
  async joinAgain() {
    const rooms = this.all
    await Promise.all(rooms.map(({ name }) => this.join(name)))
    for (const room of rooms) this.#add(room, { notice: 'Connected again. What was said meanwhile is not shown.' })
  }

  /** Asks again who is in the room that is shown. */
  async updateMembers() {
    if (this.current) await this.join(this.current.name)
  }

  #receive({ room: name, ...line }) {
    const room = this.#rooms.get(name)
    if (!room) return
    this.#add(room, line)
    if (!room.members.includes(line.from)) void this.join(name).catch(() => {})
    if (room === this.current) return
    room.unread++
    this.#changed()
  }

  #add(room, line) {
    room.lines.push(line)
    if (room.lines.length > MAX_LINES) room.lines.shift()
    this.dispatchEvent(new CustomEvent('line', { detail: { room, line } }))
  }

  #changed() {
    this.dispatchEvent(new CustomEvent('change'))
  }
}
