import { resolve } from './document.js'

const DEPTH = 6

/** A value that a schema accepts, as an example: what must be there, and of what may be there the id of a frame. */
export function sampleOf(document, schema, depth = 0) {
  const node = resolve(document, schema)
  if (typeof node !== 'object') return null
  if ('const' in node) return node.const
  const [given] = node.examples ?? node.enum ?? [node.default]
  if (given !== undefined) return given
  const [part] = node.anyOf ?? node.oneOf ?? []
  if (part !== undefined) return sampleOf(document, part, depth + 1)
  if (node.allOf) return Object.assign({}, ...node.allOf.map((inner) => sampleOf(document, inner, depth + 1)))
  return SAMPLES[[node.type].flat()[0]]?.(document, node, depth) ?? null
}

const SAMPLES = {
  string: (_document, { format, minLength = 0 }) => (format === 'date-time' ? '2030-01-01T12:00:00Z' : 'text'.padEnd(minLength, 't')),
  integer: (_document, { minimum = 1 }) => Math.max(minimum, 1),
  number: (_document, { minimum = 0.5 }) => minimum,
  boolean: () => true,
  null: () => null,
  array: (document, { items, prefixItems, minItems = 0 }, depth) => {
    const places = prefixItems ?? (Array.isArray(items) ? items : undefined)
    if (places) return places.map((item) => sampleOf(document, item, depth + 1))
    return depth < DEPTH || minItems > 0 ? [sampleOf(document, items ?? {}, depth + 1)] : []
  },
  object: (document, { properties = {}, required = [] }, depth) => {
    const names = Object.keys(properties).filter((name) => required.includes(name) || (depth === 0 && name !== 'payload'))
    return Object.fromEntries(names.map((name) => [name, sampleOf(document, properties[name], depth + 1)]))
  }
}
