import type { Json, JsonObject } from './types.js'

export function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof RegExp)
}

/** A value as JSON has it; undefined for what JSON can not hold. */
export function jsonOf(value: unknown): Json | undefined {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  if (value instanceof RegExp) return value.source
  if (Array.isArray(value)) return value.map(jsonOf).filter(isThere)
  return typeof value === 'object' ? mapEntries(value, jsonOf) : undefined
}

export function isThere<T>(value: T | undefined): value is T {
  return value !== undefined
}

/** An object of what the entries become; those that become nothing are left out. */
export function mapEntries(object: object, map: (value: unknown, name: string) => Json | undefined): JsonObject {
  const entries = Object.entries(object).flatMap(([name, value]): [string, Json][] => {
    const mapped = map(value, name)
    return mapped === undefined ? [] : [[name, mapped]]
  })
  return Object.fromEntries(entries)
}
