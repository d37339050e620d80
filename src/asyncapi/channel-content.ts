import { ControlType } from '../protocol.js'
import type { DescribedRoute } from '../route/described-route.js'
import { rateOf } from './channel.js'
import type { ControlKey } from './control.js'
import { Keys } from './keys.js'
import { clientMessage, eventMessage, replyMessage } from './messages.js'
import type { AsyncApiMessage, AsyncApiOperation, Reference } from './types.js'

interface Place {
  /** Of the channel. */
  readonly key: string
  /** Those of all operations of the document. */
  readonly operationKeys: Keys
  readonly security: readonly Reference[]
}

/** What is said in one channel: messages, and who sends them. */
export interface ChannelContent {
  readonly messages: Record<string, AsyncApiMessage | Reference>
  readonly operations: Record<string, AsyncApiOperation>
}

/** The contract's messages and events, and the protocol's own. */
export function contentOf(place: Place, { contract, table, settings }: DescribedRoute): ChannelContent {
  const writer = new ContentWriter(place)
  for (const [type, message] of Object.entries(contract.messages)) {
    const definition = table.definitions.get(type)
    const asked = writer.message(`message.${type}`, (pointer) => clientMessage(pointer, type, message, definition))
    const answer = writer.message(`reply.${type}`, (pointer) => replyMessage(pointer, type, message))
    writer.receive({ name: type, title: type }, asked, answer, definition?.rate)
  }
  for (const [type, schema] of Object.entries(contract.events)) {
    const event = writer.message(`event.${type}`, (pointer) => eventMessage(pointer, type, schema))
    writer.send({ name: type, title: type }, event)
  }
  writer.receive(controlOf('refresh'), writer.control('refresh'), writer.control('refresh.reply'), settings.refreshLimit)
  writer.receive(controlOf('ping'), writer.control('ping'), writer.control('ping.reply'))
  for (const notice of ['welcome', 'expiring', 'error'] as const) writer.send(controlOf(notice), writer.control(notice))
  return writer
}

/** How an operation is called: in its key, and by people. */
interface Name {
  readonly name: string
  /** The `type` of its frame. */
  readonly title: string
}

function controlOf(key: keyof typeof ControlType): Name {
  return { name: `control.${key}`, title: ControlType[key] }
}

class ContentWriter implements ChannelContent {
  readonly messages: ChannelContent['messages'] = {}
  readonly operations: ChannelContent['operations'] = {}
  readonly #place: Place
  readonly #channel: string
  readonly #keys = new Keys()

  constructor(place: Place) {
    this.#place = place
    this.#channel = `#/channels/${place.key}`
  }

  /** Adds a message; answers the reference that operations need. */
  message(name: string, write: (pointer: string) => AsyncApiMessage | Reference): Reference {
    const key = this.#keys.of(name)
    const $ref = `${this.#channel}/messages/${key}`
    this.messages[key] = write($ref)
    return { $ref }
  }

  control(key: ControlKey): Reference {
    return this.message(`control.${key}`, () => ({ $ref: `#/components/messages/${key}` }))
  }

  receive(name: Name, message: Reference, answer: Reference, rate?: Parameters<typeof rateOf>[0]): void {
    const channel = { $ref: this.#channel }
    const error = { $ref: `${this.#channel}/messages/control.error` }
    this.#add('receive', name, message, {
      reply: { channel, messages: [answer, error] },
      ...(rate && { 'x-rate-limit': rateOf(rate) })
    })
  }

  send(name: Name, message: Reference): void {
    this.#add('send', name, message)
  }

  #add(
    action: 'receive' | 'send',
    { name, title }: Name,
    message: Reference,
    others: Pick<AsyncApiOperation, 'reply' | 'x-rate-limit'> = {}
  ): void {
    const key = this.#place.operationKeys.of(`${this.#place.key}.${action}.${name}`)
    this.operations[key] = {
      action,
      title,
      channel: { $ref: this.#channel },
      messages: [message],
      ...others,
      security: this.#place.security
    }
  }
}
