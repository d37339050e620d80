import safeRegex from 'safe-regex2'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import type { ValidationIssue } from '../protocol.js'

const MAX_ISSUES = 8

/** A compiled schema: neither coerces nor strips. */
export interface Validator {
  check(value: unknown): boolean
  /** What is wrong with a value that did not pass, at most eight objections. Slow: only for what is told to somebody. */
  issues(value: unknown): ValidationIssue[]
}

/**
 * Compiles a schema with its objects made strict.
 * @throws Error saying what is wrong with the schema
 */
export function compileSchema(schema: TSchema): Validator {
  const validator = Compile(strict(schema))
  return {
    check: (value) => validator.Check(value),
    issues: (value) =>
      validator
        .Errors(value)
        .slice(0, MAX_ISSUES)
        .map(({ instancePath, message }) => ({ path: instancePath, message }))
  }
}

/**
 * A copy of the schema in which objects refuse properties that they do not name, unless they say
 * `additionalProperties` (or `unevaluatedProperties`) themselves.
 * @throws Error for a pattern that can take exponential time
 */
export function strict(schema: TSchema): TSchema {
  return strictNode(schema, false)
}

/** @param isBranch it stands in an `allOf`, where each branch sees the properties of the others */
function strictNode(schema: object, isBranch: boolean): object {
  checkPatterns(schema)
  const copy: object = Object.defineProperties({}, Object.getOwnPropertyDescriptors(schema))
  for (const [keyword, value] of Object.entries(schema)) {
    const strictValue = strictKeyword(keyword, value)
    if (strictValue !== value)
      Object.defineProperty(copy, keyword, { value: strictValue, enumerable: true, configurable: true, writable: true })
  }
  return isBranch ? copy : Object.assign(copy, closing(schema))
}

const WHOLE_SCHEMAS = new Set(['items', 'additionalItems', 'contains', 'additionalProperties', 'unevaluatedItems', 'unevaluatedProperties'])
/** They describe a part of what other keywords beside them describe too. */
const BRANCH_SCHEMAS = new Set(['if', 'then', 'else'])
const SCHEMA_LISTS = new Set(['items', 'prefixItems', 'anyOf', 'oneOf'])
const SCHEMA_MAPS = new Set(['properties', 'patternProperties', '$defs', 'definitions'])

function strictKeyword(keyword: string, value: unknown): unknown {
  if (Array.isArray(value)) {
    if (keyword === 'allOf') return value.map((branch) => strictNode(branch, true))
    return SCHEMA_LISTS.has(keyword) ? value.map((item) => strictNode(item, false)) : value
  }
  if (!isSchema(value)) return value
  if (WHOLE_SCHEMAS.has(keyword)) return strictNode(value, false)
  if (BRANCH_SCHEMAS.has(keyword)) return strictNode(value, true)
  if (!SCHEMA_MAPS.has(keyword)) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, isSchema(inner) ? strictNode(inner, false) : inner]))
}

function isSchema(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function closing(schema: object): object {
  if ('unevaluatedProperties' in schema || 'additionalProperties' in schema) return {}
  if ('allOf' in schema) return { unevaluatedProperties: false }
  return 'type' in schema && schema.type === 'object' ? { additionalProperties: false } : {}
}

function checkPatterns(schema: object): void {
  const patterns = 'pattern' in schema ? [schema.pattern] : []
  const names = 'patternProperties' in schema ? Object.keys(Object(schema.patternProperties)) : []
  for (const pattern of [...patterns, ...names]) {
    const isSafe = pattern instanceof RegExp || typeof pattern === 'string' ? safeRegex(pattern) : true
    if (!isSafe) throw new Error(`the pattern ${String(pattern)} can take exponential time; write it without nested repetition`)
  }
}
