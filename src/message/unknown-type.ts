import { fail, type TicketError } from '../errors.js'
import { escapeToAscii } from '../escape.js'

/** Characters of the type that came. Should a ticket have got there, what is left of it can not be guessed. */
const MAX_TYPE = 24
/** Characters of the types that there are: the answer must not be many times what asks for it. */
const MAX_KNOWN = 256

/** The types that there are, for {@link unknownType}. */
export function listTypes(types: readonly string[]): string {
  const list = types.join(', ')
  if (list.length > MAX_KNOWN) return `${list.slice(0, MAX_KNOWN)}… (${types.length} in all)`
  return list || 'none'
}

/** Who is connected may know the types: the client that was written for this route holds them all. */
export function unknownType(type: string, known: string): TicketError {
  const shown = escapeToAscii(type.slice(0, MAX_TYPE))
  return fail('UNKNOWN_TYPE', [type.length > MAX_TYPE ? `${shown}…` : shown, known])
}
