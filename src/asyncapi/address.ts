/** An address as AsyncAPI and OpenAPI write it. */
export interface Address {
  /** Such as `/rooms/{room}`. */
  readonly template: string
  readonly parameters: readonly string[]
}

/** A parameter with its pattern, if any; or a colon that stands for itself. */
const PART = /::|:([^/.:(-]+)(\()?/g

/** Turns a path of Fastify (`/rooms/:room`, `/at/:hour(^\\d+$)h`) into a template. */
export function addressOf(path: string): Address {
  const parameters: string[] = []
  let template = ''
  let end = 0
  for (const match of path.matchAll(PART)) {
    // it stands within the pattern before it
    if (match.index < end) continue
    const [text, name, parenthesis] = match
    template += path.slice(end, match.index) + (name === undefined ? ':' : `{${name}}`)
    end = match.index + text.length
    if (name !== undefined) parameters.push(name)
    if (parenthesis) end = endOfPattern(path, end)
  }
  return { template: template + path.slice(end), parameters }
}

/** The place behind the parenthesis that closes the one before `start`. */
function endOfPattern(path: string, start: number): number {
  let depth = 1
  let index = start
  for (; index < path.length && depth > 0; index++) {
    const sign = path[index]
    if (sign === '\\') index++
    if (sign === '(') depth++
    if (sign === ')') depth--
  }
  return index
}
