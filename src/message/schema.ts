import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { escapePointer } from '../json-pointer.js'
import type { ValidationIssue } from '../protocol.js'
import { checkFormats } from './formats.js'
import { checkPatterns } from './patterns.js'

const MAX_ISSUES = 8

/** A compiled schema: neither coerces nor strips. */
export interface Validator {
  check(value: unknown): boolean
  /** What is wrong with a value that did not pass, at most eight objections. Slow: only for what is told to somebody. */
  issues(value: unknown): ValidationIssue[]
}

/** What a schema forbids by `false` it reports twice: as forbidden, and as not matching `false`. */
function withoutEchoes<E extends { keyword: string }>(errors: E[]): E[] {
  const told = errors.filter(({ keyword }) => keyword !== 'boolean')
  return told.length > 0 ? told : errors
}

interface SchemaError {
  readonly keyword: string
  readonly instancePath: string
  readonly message: string
  readonly params: object
}

/** Properties that are too many are objected to one by one, where they stand. */
function issuesOf({ instancePath, message, params }: SchemaError): ValidationIssue[] {
  const extra: unknown = Reflect.get(params, 'additionalProperties') ?? Reflect.get(params, 'unevaluatedProperties')
  if (!Array.isArray(extra)) return [{ path: instancePath, message }]
  return extra.map((name) => ({ path: `${instancePath}/${escapePointer(String(name))}`, message: 'must not be there' }))
}

const SIGNS_OF_A_SCHEMA = ['~kind', '~unsafe', 'type', 'properties', 'anyOf', 'allOf', 'oneOf', 'not', '$ref', 'const', 'enum']
export const JSON_TYPES: ReadonlySet<unknown> = new Set(['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'])

/** An object that is no schema would let everything pass, since what a schema does not know it ignores. */
export function looksLikeSchema(schema: object): boolean {
  const isSigned = SIGNS_OF_A_SCHEMA.some((sign) => Reflect.has(schema, sign))
  if (!isSigned || !('type' in schema) || Reflect.has(schema, '~kind')) return isSigned
  return [schema.type].flat().every((type) => JSON_TYPES.has(type))
}

/**
 * Compiles a schema with its objects made strict.
 * @throws Error saying what is wrong with the schema
 */
export function compileSchema(schema: TSchema): Validator {
  checkPatterns(schema)
  checkFormats(schema)
  const strictSchema = strict(schema)
  const validator = Compile(strictSchema)
  const explainer = hasUniqueItems(strictSchema) ? Compile(withoutUniqueItems(strictSchema)) : validator
  return {
    check: (value) => validator.Check(value),
    issues(value) {
      const issues = withoutEchoes(explainer.Errors(value)).flatMap(issuesOf).slice(0, MAX_ISSUES)
      return issues.length === 0 && !validator.Check(value) ? [DUPLICATES] : issues
    }
  }
}

const DUPLICATES = { path: '', message: 'must not have duplicate items' }

/** To check `uniqueItems` is quick; to say which items are the same takes TypeBox time that grows with their square. */
function hasUniqueItems(schema: object): boolean {
  return Object.entries(schema).some(([keyword, value]) => {
    return (keyword === 'uniqueItems' && value === true) || (typeof value === 'object' && value !== null && hasUniqueItems(value))
  })
}

function withoutUniqueItems(schema: object): TSchema {
  const copy: object = Object.defineProperties({}, Object.getOwnPropertyDescriptors(schema))
  for (const [keyword, value] of Object.entries(schema)) put(copy, keyword, withoutUniqueItemsIn(value))
  if (Reflect.get(schema, 'uniqueItems') === true) Reflect.deleteProperty(copy, 'uniqueItems')
  return copy
}

function withoutUniqueItemsIn(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUniqueItemsIn)
  return typeof value === 'object' && value !== null && !(value instanceof RegExp) ? withoutUniqueItems(value) : value
}

/**
 * A copy of the schema in which objects refuse properties that they do not name, unless they say
 * `additionalProperties` (or `unevaluatedProperties`) themselves.
 */
export function strict(schema: TSchema): TSchema {
  return strictNode(schema, false)
}

/** What describes a value of its own. */
const INNER = new Set(['items', 'prefixItems', 'additionalItems', 'contains', 'additionalProperties', 'unevaluatedItems'])
const INNER_MAPS = new Set(['properties', 'patternProperties', '$defs', 'definitions'])
/** What describes the same value as the keywords beside it. */
const ALTERNATIVES = new Set(['anyOf', 'oneOf'])
const PARTS = new Set(['allOf', 'if', 'then', 'else'])

/** @param isPart it describes a value that others describe too: whoever joins them closes the object */
function strictNode(schema: object, isPart: boolean): object {
  const isJoint = isPart || joinsParts(schema)
  const copy: object = Object.defineProperties({}, Object.getOwnPropertyDescriptors(schema))
  for (const [keyword, value] of Object.entries(schema)) {
    if (INNER.has(keyword)) put(copy, keyword, strictOf(value, false))
    if (INNER_MAPS.has(keyword))
      put(
        copy,
        keyword,
        mapValues(value, (inner) => strictOf(inner, false))
      )
    if (ALTERNATIVES.has(keyword)) put(copy, keyword, strictOf(value, isJoint))
    if (PARTS.has(keyword)) put(copy, keyword, strictOf(value, true))
  }
  return isPart ? copy : Object.assign(copy, closing(schema))
}

function strictOf(value: unknown, isPart: boolean): unknown {
  if (Array.isArray(value)) return value.map((item) => strictOf(item, isPart))
  return typeof value === 'object' && value !== null ? strictNode(value, isPart) : value
}

/** Alternatives by themselves are closed one by one; beside properties they are parts. */
function joinsParts(schema: object): boolean {
  if ('allOf' in schema) return true
  return describesObject(schema) && ('anyOf' in schema || 'oneOf' in schema)
}

function describesObject(schema: object): boolean {
  if ('properties' in schema || 'patternProperties' in schema) return true
  return 'type' in schema && [schema.type].flat().includes('object')
}

function closing(schema: object): object {
  if ('unevaluatedProperties' in schema || 'additionalProperties' in schema) return {}
  if (joinsParts(schema)) return { unevaluatedProperties: false }
  return describesObject(schema) ? { additionalProperties: false } : {}
}

/** What TypeBox adds to a schema is not enumerable and must stay so; what is replaced is a plain property. */
function put(copy: object, keyword: string, value: unknown): void {
  Object.defineProperty(copy, keyword, { value, enumerable: true, configurable: true, writable: true })
}

function mapValues(value: unknown, map: (inner: unknown) => unknown): object {
  return Object.fromEntries(Object.entries(Object(value)).map(([name, inner]) => [name, map(inner)]))
}
