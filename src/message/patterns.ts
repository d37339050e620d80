import safeRegex from 'safe-regex2'

/** Their values are data, not schemas. */
const DATA = new Set(['const', 'enum', 'default', 'examples'])
const SCHEMA_MAPS = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas'])

/**
 * Looks through a whole schema for patterns that can take exponential time (OWASP, Regular expression Denial of Service).
 * @throws Error naming the pattern
 */
export function checkPatterns(schema: object): void {
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === 'pattern') checkPattern(value)
    if (keyword === 'patternProperties') Object.keys(Object(value)).forEach(checkPattern)
    if (DATA.has(keyword)) continue
    const inner = SCHEMA_MAPS.has(keyword) ? Object.values(Object(value)) : [value].flat()
    inner.filter(isObject).forEach(checkPatterns)
  }
}

function checkPattern(pattern: unknown): void {
  if (typeof pattern !== 'string' && !(pattern instanceof RegExp)) return
  if (!safeRegex(pattern)) throw new Error(`the pattern ${String(pattern)} can take exponential time; write it without nested repetition`)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
