import { randomUUID } from 'node:crypto'
import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { checkCloseCode } from '../connection/close.js'
import type { BusMessage } from './bus.js'

/** Of the wire format between nodes. A node ignores messages of other versions. */
const VERSION = 1
/** More than an id has that fits into the head of a request. */
const MAX_ID = 65_536
const MAX_REASON = 123

const STRICT = { additionalProperties: false }
const Head = { v: Type.Literal(VERSION), from: Type.String({ minLength: 1, maxLength: 64 }) }
const Id = Type.String({ minLength: 1, maxLength: MAX_ID })
const Route = Type.String({ maxLength: MAX_ID })
/** The text of a frame; how long it may be is a matter of the route. */
const Frame = Type.String()
const TargetSchema = Type.Union([
  Type.Object({ user: Id }, STRICT),
  Type.Object({ connection: Id }, STRICT),
  Type.Object({ all: Type.Literal(true) }, STRICT)
])

const WireMessageSchema = Type.Union([
  // the route and the topic are those of the channel
  Type.Object({ ...Head, kind: Type.Literal('publish'), frame: Frame }, STRICT),
  Type.Object({ ...Head, kind: Type.Literal('send'), route: Route, target: TargetSchema, frame: Frame }, STRICT),
  Type.Object(
    {
      ...Head,
      kind: Type.Literal('disconnect'),
      /** Its own, since it may come twice: published, and from the log. */
      id: Type.String({ minLength: 1, maxLength: 64 }),
      route: Type.Union([Route, Type.Null()]),
      target: TargetSchema,
      code: Type.Integer(),
      reason: Type.String({ maxLength: MAX_REASON })
    },
    STRICT
  )
])

/** A message between nodes, as JSON text. */
export type WireMessage = Static<typeof WireMessageSchema>

const wireMessage = Compile(WireMessageSchema)

/** What else a message may hold besides its frame, in which every other character may have to be escaped. */
const MAX_REST = 3 * MAX_ID

/** Writes messages of one node. */
export class BusEncoder {
  readonly #node: string
  readonly #beginning: string

  constructor(node: string) {
    this.#node = node
    this.#beginning = `${JSON.stringify({ v: VERSION, from: node }).slice(0, -1)},`
  }

  encode(message: BusMessage): string {
    return JSON.stringify({ v: VERSION, from: this.#node, ...contentOf(message) })
  }

  /** Did this node write it? Seen without parsing it. */
  isOwn(text: string): boolean {
    return text.startsWith(this.#beginning)
  }
}

function contentOf(message: BusMessage): object {
  if (message.kind === 'disconnect') return { ...message, id: randomUUID() }
  const frame = message.frame.toString()
  return message.kind === 'publish' ? { kind: message.kind, frame } : { ...message, frame }
}

/**
 * Reads what may come from anybody.
 * @param maxFrame the length of the longest frame that any route sends
 * @returns the message, or a text that says what is wrong
 */
export function decodeBusMessage(text: string, maxFrame: number): WireMessage | string {
  if (text.length > 2 * maxFrame + MAX_REST) return 'too long'
  const value = parse(text)
  if (Reflect.get(Object(value), 'v') !== VERSION) return `not of version ${VERSION}`
  if (!wireMessage.Check(value)) return 'malformed'
  return value.kind === 'disconnect' && !isCloseCode(value.code) ? 'a close code that is not allowed' : value
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isCloseCode(code: number): boolean {
  try {
    return checkCloseCode(code) === code
  } catch {
    return false
  }
}
