import { fail } from '../errors.js'
import type { Validator } from '../message/schema.js'
import { encodeEvent } from '../protocol.js'

/** The events of a contract, ready to be checked and turned into frames. */
export class EventEncoder {
  readonly #validators: ReadonlyMap<string, Validator>
  readonly #maxBytes: number

  constructor(validators: ReadonlyMap<string, Validator>, maxBytes: number) {
    this.#validators = validators
    this.#maxBytes = maxBytes
  }

  has(event: string): boolean {
    return this.#validators.has(event)
  }

  /**
   * The frame of an event.
   * @throws FST_WS_TICKET_UNKNOWN_EVENT, FST_WS_TICKET_INVALID_EVENT, FST_WS_TICKET_FRAME_TOO_LARGE
   */
  encode(event: string, payload: unknown, topic?: string): Buffer {
    const validator = this.#validators.get(event)
    if (!validator) throw fail('UNKNOWN_EVENT', [event, [...this.#validators.keys()].join(', ') || 'none'])
    if (!validator.check(payload)) {
      const errors = validator.issues(payload)
      throw fail('INVALID_EVENT', [event, errors.map(({ path, message }) => `${path} ${message}`.trim()).join('; ')], { errors })
    }
    const frame = Buffer.from(encodeEvent(event, payload, topic))
    if (frame.length > this.#maxBytes) throw fail('FRAME_TOO_LARGE', [frame.length, this.#maxBytes])
    return frame
  }
}
