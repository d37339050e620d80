import { escapePointer } from '../json-pointer.js'
import { JSON_TYPES } from '../message/schema.js'
import { isPlainObject, isThere, jsonOf, mapEntries } from './json.js'
import { Keys } from './keys.js'
import { type SchemaScope, targetOf } from './schema-reference.js'
import type { Json, JsonObject } from './types.js'

/** What is no schema and stays as it is. */
const DATA = new Set(['const', 'enum', 'default', 'examples', 'required', 'type'])
/** What holds schemas by name. */
const MAPS = new Set(['properties', 'patternProperties', 'dependentSchemas', 'dependencies'])
/** What names or keeps the targets of references; they are moved to where the document can point to them. */
const TARGETS = new Set(['$id', '$anchor', '$schema', '$defs', 'definitions'])
/** What draft 7 does not know, nor AsyncAPI's own schemas, which extend it. */
const NEWER = new Set([
  'prefixItems',
  'unevaluatedProperties',
  'unevaluatedItems',
  'dependentRequired',
  'dependentSchemas',
  'minContains',
  'maxContains'
])

/** No value matches: what can not be said in JSON, such as a bigint, never comes. */
const NOTHING = { not: {} }

/** Does the schema need JSON Schema 2020-12? */
export function needsNewerDraft(schema: unknown): boolean {
  return Object.entries(Object(schema)).some(([keyword, value]) => {
    return NEWER.has(keyword) || (typeof value === 'object' && needsNewerDraft(value))
  })
}

/**
 * Writes schemas as one part of the document: plain JSON without what TypeBox adds, and with references that lead somewhere
 * in the document. What they lead to stands in `definitions`.
 */
export class SchemaWriter {
  readonly definitions: Record<string, JsonObject> = {}
  readonly #pointer: string
  readonly #isNewer: boolean
  readonly #keys = new Keys()
  readonly #written = new Map<object, string>()

  /** @param pointer where `definitions` will stand */
  constructor(pointer: string, isNewer = false) {
    this.#pointer = pointer
    this.#isNewer = isNewer
  }

  write(schema: object): JsonObject {
    return this.#node(schema, { root: schema, resource: schema })
  }

  #node(schema: object, outer: SchemaScope): JsonObject {
    if ('type' in schema && ![schema.type].flat().every((type) => JSON_TYPES.has(type))) return NOTHING
    const scope = '$id' in schema ? { ...outer, resource: schema } : outer
    const keywords = mapEntries(schema, (value, keyword) => this.#keyword(keyword, value, scope))
    const node = this.#isNewer ? withNewTuple(keywords) : keywords
    const reference = '$ref' in schema ? this.#reference(String(schema.$ref), scope) : undefined
    if (!reference) return node
    // draft 7 ignores what stands beside a reference
    return Object.keys(node).length === 0 ? reference : { allOf: [reference, node] }
  }

  #keyword(keyword: string, value: unknown, scope: SchemaScope): Json | undefined {
    if (keyword === '$ref' || TARGETS.has(keyword) || keyword.startsWith('~')) return undefined
    if (DATA.has(keyword)) return jsonOf(value)
    if (MAPS.has(keyword)) return mapEntries(Object(value), (inner) => this.#inner(inner, scope))
    return this.#inner(value, scope)
  }

  #inner(value: unknown, scope: SchemaScope): Json | undefined {
    if (Array.isArray(value)) return value.map((item) => this.#inner(item, scope)).filter(isThere)
    return isPlainObject(value) ? this.#node(value, scope) : jsonOf(value)
  }

  /** Undefined for what leads nowhere that is known here. */
  #reference(ref: string, scope: SchemaScope): JsonObject | undefined {
    const target = targetOf(ref, scope)
    return target && { $ref: `${this.#pointer}/${escapePointer(this.#define(ref, target, scope))}` }
  }

  #define(ref: string, target: object, scope: SchemaScope): string {
    const known = this.#written.get(target)
    if (known !== undefined) return known
    const key = this.#keys.of(ref.split(/[#/]/).findLast((part) => part !== '') ?? 'root')
    this.#written.set(target, key)
    this.definitions[key] = this.#node(target, scope)
    return key
  }
}

/** Writes a schema of draft 7 that will stand at a place of the document. */
export function writeSchema(pointer: string, schema: object): JsonObject {
  const writer = new SchemaWriter(`${pointer}/definitions`)
  const written = writer.write(schema)
  return Object.keys(writer.definitions).length === 0 ? written : { ...written, definitions: writer.definitions }
}

/** As 2020-12 has a list whose items differ by their place. */
function withNewTuple(node: JsonObject): JsonObject {
  if (!Array.isArray(node.items)) return node
  const { items, additionalItems, ...others } = node
  return { ...others, prefixItems: items, ...(additionalItems !== undefined && { items: additionalItems }) }
}
