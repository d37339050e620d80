import Format from 'typebox/format'
import { nodesOf } from './schema-nodes.js'

/**
 * Looks through a whole schema for formats that TypeBox does not know: those it would let every text pass.
 * @throws Error naming the format, and where it stands
 */
export function checkFormats(schema: object): void {
  for (const [place, node] of nodesOf(schema)) {
    const format: unknown = Reflect.get(node, 'format')
    if (typeof format !== 'string' || !describesText(node) || Format.Has(format)) continue
    const known = Format.Entries().map(([name]) => name)
    throw new Error(
      `the format '${format}'${place && ` at ${place}`} is not known, and would let every text pass; register it before by Format.Set of ` +
        `typebox/format, or use one of: ${known.join(', ')}`
    )
  }
}

/** Beside a number a format says something to people only, as `int32` does. */
function describesText(node: object): boolean {
  const type: unknown = Reflect.get(node, 'type')
  return type === undefined || [type].flat().includes('string')
}
