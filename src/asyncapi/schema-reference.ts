import { pointerNames } from '../json-pointer.js'
import { isPlainObject } from './json.js'

/** Where a reference is looked up: in the nearest schema with an `$id`, and in the whole. */
export interface SchemaScope {
  readonly root: object
  readonly resource: object
}

/** What a `$ref` within a schema leads to: by `$id`, by `$anchor` or by JSON Pointer (JSON Schema 2020-12, section 8.2). */
export function targetOf(ref: string, { root, resource }: SchemaScope): object | undefined {
  const [id = '', fragment = ''] = ref.split('#')
  const base = id === '' ? resource : find(root, '$id', id)
  if (base === undefined || fragment === '') return base
  if (!fragment.startsWith('/')) return find(base, '$anchor', fragment)
  return follow(base, fragment) ?? follow(root, fragment)
}

function find(schema: object, keyword: '$id' | '$anchor', name: string): object | undefined {
  if (Reflect.get(schema, keyword) === name) return schema
  for (const inner of Object.values(schema)) {
    const found = typeof inner === 'object' && inner !== null ? find(inner, keyword, name) : undefined
    if (found) return found
  }
  return undefined
}

function follow(base: object, pointer: string): object | undefined {
  let node: unknown = base
  for (const name of pointerNames(decodeURIComponent(pointer))) node = Reflect.get(Object(node), name)
  return isPlainObject(node) ? node : undefined
}
