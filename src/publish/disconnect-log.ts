import type { RedisLink } from '../redis/link.js'
import { script } from '../redis/script.js'
import { SERVER_NOW } from '../redis/server-clock.js'

/** As long as a session lasts by default: whoever was connected before has to come anew by then. */
const KEEP_MS = 3_600_000
const READ_AT_ONCE = 1000

/** KEYS the log, ARGV an entry, how long to keep it. */
const ADD = script(`
${SERVER_NOW}
redis.call('XADD', KEYS[1], 'MINID', '~', math.max(0, math.floor(now - ARGV[2])), '*', 'text', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
`)

/**
 * The disconnects of the last hour, as a stream in Redis. What is published is lost for a node that is cut off; that somebody's
 * rights were withdrawn must not be, and so each node reads here what it has not heard.
 */
export class DisconnectLog {
  readonly #link: RedisLink
  readonly #key: string
  /** The entry that was read last; undefined until Redis has told which there are. */
  #last: string | undefined
  /** Those that were published, since the log was read and since the time before: they may come to the log a little later. */
  #heard = new Set<string>()
  #heardBefore = new Set<string>()

  constructor(link: RedisLink) {
    this.#link = link
    this.#key = link.keys.of('disconnects')
  }

  /** @throws RedisFailure */
  async add(text: string): Promise<void> {
    await this.#link.commands.run(ADD, this.#key, [text, KEEP_MS])
  }

  /** A disconnect was published, and need not be done again. */
  heard(id: string): void {
    this.#heard.add(id)
  }

  wasHeard(id: string): boolean {
    return this.#heard.has(id) || this.#heardBefore.has(id)
  }

  /**
   * The entries since it was read before; none the first time. Not to be called while it reads.
   * @throws RedisFailure
   */
  async read(): Promise<string[]> {
    if (this.#last === undefined) return await this.#begin()
    const entries: Entry[] = []
    let last = this.#last
    let page: Entry[]
    do {
      page = entriesOf(await this.#link.commands.call('xrange', [this.#key, `(${last}`, '+', 'COUNT', READ_AT_ONCE]))
      last = page.at(-1)?.id ?? last
      entries.push(...page)
    } while (page.length === READ_AT_ONCE)
    // only now, so that what was read in part is read again
    this.#last = last
    this.#heardBefore = this.#heard
    this.#heard = new Set()
    return entries.map(({ text }) => text)
  }

  async #begin(): Promise<string[]> {
    const [latest] = entriesOf(await this.#link.commands.call('xrevrange', [this.#key, '+', '-', 'COUNT', 1]))
    this.#last = latest?.id ?? '0-0'
    return []
  }
}

interface Entry {
  readonly id: string
  readonly text: string
}

/** Entries come as `[id, [field, value]]`. */
function entriesOf(answer: unknown): Entry[] {
  return Object.values(Object(answer)).map((entry) => {
    const [id, fields] = Object.values(Object(entry))
    return { id: String(id), text: String(Object.values(Object(fields))[1]) }
  })
}
