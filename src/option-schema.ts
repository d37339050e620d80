import { parse as parseMs } from '@lukeed/ms'
import Type, { type Static, type TObject, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import Value from 'typebox/value'
import { fail } from './errors.js'

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
export function callable<T>(description: string, methods: readonly string[] = []) {
  const schema = Type.Unsafe<T>({ description })
  return Type.Refine(schema, (value: unknown) => {
    if (methods.length === 0) return typeof value === 'function'
    return typeof value === 'object' && value !== null && methods.every((name) => typeof Reflect.get(value, name) === 'function')
  })
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
 * Makes the function that checks an object of options and fills in the defaults.
 * What it throws names the option, the value it has, and what is allowed: FST_WS_TICKET_INVALID_OPTION.
 */
export function optionParser<S extends TObject>(schema: S): (given: unknown, where?: string) => Static<S> {
  const validator = Compile(schema)
  return (given, where = '') => {
    if (!isPlainObject(given)) {
      throw fail('INVALID_OPTION', [`${where}options are ${show(given)}; allowed: an object of ${names(schema)}.`])
    }
    const filled: unknown = Value.Default(schema, { ...given })
    if (validator.Check(filled)) return filled
    throw fail('INVALID_OPTION', [where + explain(schema, filled, validator.Errors(filled)[0])])
  }
}

interface SchemaError {
  keyword: string
  instancePath: string
  params: object
}

function explain(schema: TObject, value: unknown, error: SchemaError | undefined): string {
  const path = [...(error?.instancePath.split('/').slice(1) ?? []), ...missingName(error)]
  const node = path.reduce<unknown>((at, name) => child(Reflect.get(Object(at), 'properties'), name), schema)
  const option = `'${path.join('.')}'`
  if (node === undefined) return `${option} is not known; allowed: ${names(parentOf(schema, path))}.`
  const found = path.reduce<unknown>((at, name) => child(at, name), value)
  return `${option} is ${show(found)}; allowed: ${Reflect.get(Object(node), 'description')}.`
}

function missingName(error: SchemaError | undefined): string[] {
  if (error?.keyword !== 'required') return []
  const missing: unknown = Reflect.get(error.params, 'requiredProperties')
  return Array.isArray(missing) ? [String(missing[0])] : []
}

function parentOf(schema: TSchema, path: string[]): TSchema {
  return path.slice(0, -1).reduce((at, name) => Object(child(Reflect.get(at, 'properties'), name)), schema)
}

function child(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
}

function names(schema: TSchema): string {
  return Object.keys(Object(Reflect.get(schema, 'properties'))).join(', ')
}

function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function show(value: unknown): string {
  if (value === undefined) return 'missing'
  if (typeof value === 'function') return 'a function'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
