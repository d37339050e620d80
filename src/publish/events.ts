import { fail } from '../errors.js'
import { inspectJson, parseJson } from '../message/json.js'
import type { Validator } from '../message/schema.js'
import { encodeEvent } from '../protocol.js'

/** Deeper than any payload is meant to be, and far from what exhausts the stack. */
const MAX_DEPTH = 256

/** The events of a contract, ready to be checked and turned into frames. */
export class EventEncoder {
  /** Of the longest frame. */
  readonly maxBytes: number
  readonly #validators: ReadonlyMap<string, Validator>

  constructor(validators: ReadonlyMap<string, Validator>, maxBytes: number) {
    this.#validators = validators
    this.maxBytes = maxBytes
  }

  has(event: string): boolean {
    return this.#validators.has(event)
  }

  /** The events that there are. */
  get names(): string[] {
    return [...this.#validators.keys()]
  }

  /**
   * The frame of an event.
   * @throws FST_WS_TICKET_UNKNOWN_EVENT, FST_WS_TICKET_INVALID_EVENT, FST_WS_TICKET_FRAME_TOO_LARGE
   */
  encode(event: string, payload: unknown, topic?: string): Buffer {
    const validator = this.#validators.get(event)
    if (!validator) throw fail('UNKNOWN_EVENT', [event, 'the contract', this.names.join(', ') || 'none'])
    if (!validator.check(payload)) {
      const errors = validator.issues(payload)
      throw fail('INVALID_EVENT', [event, errors.map(({ path, message }) => `${path} ${message}`.trim()).join('; ')], { errors })
    }
    const frame = Buffer.from(encodeEvent(event, payload, topic))
    if (frame.length > this.maxBytes) throw fail('FRAME_TOO_LARGE', [frame.length, this.maxBytes])
    return frame
  }

  /**
   * The frame that a text from another node says, built anew, so that clients see nothing but what passed the checks.
   * @returns undefined where no event of this contract could have made it
   */
  rebuild(text: string, topic: string | undefined): Buffer | undefined {
    const event = parseEvent(text)
    if (!event || event.topic !== topic || !this.#validators.get(event.type)?.check(event.payload)) return undefined
    const frame = Buffer.from(encodeEvent(event.type, event.payload, topic))
    return frame.length > this.maxBytes ? undefined : frame
  }
}

interface ParsedEvent {
  readonly type: string
  readonly topic: unknown
  readonly payload: unknown
}

function parseEvent(text: string): ParsedEvent | undefined {
  try {
    const value = parseJson(text)
    inspectJson(value, MAX_DEPTH)
    const { type, topic, payload, ...others } = Object(value)
    return typeof type === 'string' && Object.keys(others).length === 0 ? { type, topic, payload } : undefined
  } catch {
    return undefined
  }
}
