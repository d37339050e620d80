import { inspect } from 'node:util'
import { parse as parseMs } from '@lukeed/ms'
import Type, { type Static, type TObject, type TProperties } from 'typebox'
import { Compile } from 'typebox/compile'
import { fail } from './errors.js'
import { pointerNames } from './json-pointer.js'

/** A length of time: milliseconds, or a text such as `'30 seconds'`, `'1h'`, `'250ms'`. */
export type Duration = number | string

/**
 * The kinds of options there are. Each says in its `description` what is allowed; a refusal quotes it.
 */
export function whole<const Default extends number | undefined>(minimum: number, maximum: number, byDefault?: Default) {
  return Type.Integer({ minimum, maximum, ...defaultsTo(byDefault), description: `a whole number from ${minimum} to ${maximum}` })
}

export function flag(byDefault: boolean) {
  return Type.Boolean({ default: byDefault, description: 'true or false' })
}

export function duration(minMs: number, maxMs: number, byDefault?: Duration) {
  const description = `a duration from ${minMs} to ${maxMs} ms, as a number of ms or a text such as '30 seconds'`
  const schema = Type.Unsafe<Duration>({ ...defaultsTo(byDefault), description })
  return Type.Refine(schema, (value) => isWithin(toMs(value), minMs, maxMs))
}

export function durationOrOff(minMs: number, maxMs: number) {
  const description = `false, or a duration from ${minMs} to ${maxMs} ms`
  const schema = Type.Unsafe<Duration | false>({ default: false, description })
  return Type.Refine(schema, (value) => value === false || isWithin(toMs(value), minMs, maxMs))
}

/** An option that is a function, or an object with the methods named. */
export function callable<T>(what: string, methods: readonly string[] = []) {
  const description = methods.length === 0 ? what : `${what} with the methods ${methods.join(', ')}`
  const schema = Type.Unsafe<T>({ description })
  return Type.Refine(schema, (value: unknown) => {
    if (methods.length === 0) return typeof value === 'function'
    return typeof value === 'object' && value !== null && methods.every((name) => typeof Reflect.get(value, name) === 'function')
  })
}

/** An option that a check of its own decides on. */
export function suchThat<T>(check: (value: unknown) => boolean, description: string, byDefault?: T) {
  return Type.Refine(Type.Unsafe<T>({ ...defaultsTo(byDefault), description }), check)
}

/** As {@link suchThat}; what is given in its place may hold a password, and is shown to nobody. */
export function secretSuchThat<T>(check: (value: unknown) => boolean, description: string) {
  return Type.Refine(Type.Unsafe<T>({ description, writeOnly: true }), check)
}

/** Milliseconds of a duration; NaN where it is none. */
export function toMs(value: unknown): number {
  if (typeof value === 'number') return value
  if (typeof value !== 'string') return Number.NaN
  return parseMs(value) ?? Number.NaN
}

function isWithin(ms: number, minMs: number, maxMs: number): boolean {
  return ms >= minMs && ms <= maxMs
}

function defaultsTo<T>(value: T | undefined): { default?: T } {
  return value === undefined ? {} : { default: value }
}

/**
 * Makes the function that checks an object of options and fills in the defaults. It changes nothing in what it is given.
 * What it throws names the option, the value it has, and what is allowed: FST_WS_TICKET_INVALID_OPTION.
 */
export function optionParser<S extends TObject>(schema: S): (given: unknown, where?: string) => Static<S> {
  const validator = Compile(schema)
  const defaults = defaultsOf(schema.properties)
  return (given, where = '') => {
    if (!isObject(given)) throw fail('INVALID_OPTION', [`${where}'options' is ${show(given)}; allowed: an object of ${names(schema)}.`])
    const filled: unknown = { ...defaults, ...withoutUndefined(given, schema.properties) }
    if (validator.Check(filled)) return filled
    const problems = validator.Errors(filled)
    // what is missing is often there under a name that is misspelt; of the others the first says enough
    const first = problems
      .filter(({ keyword }) => keyword === 'boolean')
      .concat(problems)
      .slice(0, 1)
    throw fail('INVALID_OPTION', [where + first.map((error) => explain(schema, filled, error)).join()])
  }
}

/** A value as the message of an error shows it. */
export function show(value: unknown): string {
  if (value === undefined) return 'missing'
  const text = inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY })
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

const MAX_SHOWN = 100

function defaultsOf(properties: TProperties): object {
  return Object.fromEntries(Object.entries(properties).flatMap(([name, option]) => ('default' in option ? [[name, option.default]] : [])))
}

/** An option that is there but undefined is not given; an unknown one is unknown all the same. */
function withoutUndefined(given: object, properties: TProperties): object {
  return Object.fromEntries(Object.entries(given).filter(([name, value]) => value !== undefined || !Object.hasOwn(properties, name)))
}

interface SchemaError {
  keyword: string
  instancePath: string
  params: object
}

/** Follows the path of an error through schema and value alike; what is no property is an item of a list. */
function explain(schema: TObject, value: unknown, error: SchemaError): string {
  const path = [...pointerNames(error.instancePath), ...missingName(error)]
  let node: unknown = schema
  let found = value
  let option = ''
  for (const name of path) {
    const inner = child(node, 'properties')
    const known = inner === undefined ? node : child(inner, name)
    option = inner === undefined ? `${option}[${name}]` : [option, name].filter(Boolean).join('.')
    if (known === undefined) return `'${option}' is not known; allowed: ${names(node)}.`
    found = child(found, name)
    node = known
  }
  const shown = child(node, 'writeOnly') === true ? `of the type ${typeof found}` : show(found)
  return `'${option}' is ${shown}; allowed: ${String(child(node, 'description'))}.`
}

function missingName({ keyword, params }: SchemaError): string[] {
  if (keyword !== 'required') return []
  return [child(params, 'requiredProperties')].flat().slice(0, 1).map(String)
}

function child(value: unknown, name: string): unknown {
  const object = Object(value)
  return Object.hasOwn(object, name) ? Reflect.get(object, name) : undefined
}

function names(schema: unknown): string {
  return Object.keys(Object(child(schema, 'properties'))).join(', ')
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
