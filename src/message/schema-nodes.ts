import { escapePointer } from '../json-pointer.js'

/** Their values are data, not schemas. */
const DATA = new Set(['const', 'enum', 'default', 'examples'])
const SCHEMA_MAPS = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas'])

/** A schema, and each that stands in it, with the JSON Pointer to its place. */
export function* nodesOf(schema: object, place = ''): Generator<[place: string, node: object]> {
  yield [place, schema]
  for (const [keyword, value] of Object.entries(schema)) {
    if (!DATA.has(keyword)) yield* nodesIn(value, `${place}/${escapePointer(keyword)}`, SCHEMA_MAPS.has(keyword))
  }
}

/** What a keyword holds: a schema, a list of them, or schemas by name. */
function* nodesIn(value: unknown, place: string, isMap: boolean): Generator<[place: string, node: object]> {
  if (!isObject(value)) return
  if (!isMap && !Array.isArray(value)) return yield* nodesOf(value, place)
  for (const [name, inner] of Object.entries(value)) {
    if (isObject(inner)) yield* nodesOf(inner, `${place}/${escapePointer(name)}`)
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
