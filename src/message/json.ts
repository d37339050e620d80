import { fail } from '../errors.js'

/**
 * Parses JSON that a stranger wrote (RFC 8259); a byte order mark is none. Not to be used before {@link inspectJson}.
 * @throws FST_WS_TICKET_INVALID_JSON
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // the parser's message quotes the text, which is not ours to echo
    throw fail('INVALID_JSON', ['it does not parse'])
  }
}

/**
 * Sees to it that a parsed value is not nested deeper than allowed, and has no key that could reach a prototype
 * (`__proto__`, or `constructor` holding `prototype`) at any depth.
 * @throws FST_WS_TICKET_INVALID_JSON
 */
export function inspectJson(value: unknown, depthLeft: number): void {
  if (!isObject(value)) return
  if (depthLeft === 0) throw fail('INVALID_JSON', ['it is nested too deep'])
  if (Array.isArray(value)) {
    for (const item of value) inspectJson(item, depthLeft - 1)
    return
  }
  for (const key of Object.keys(value)) {
    const inner = value[key]
    if (reachesPrototype(key, inner)) throw fail('INVALID_JSON', ['it has a key that is not allowed'])
    inspectJson(inner, depthLeft - 1)
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function reachesPrototype(key: string, inner: unknown): boolean {
  if (key === '__proto__') return true
  return key === 'constructor' && typeof inner === 'object' && inner !== null && Object.hasOwn(inner, 'prototype')
}
