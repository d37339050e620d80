import type { TestedApp } from './connect.js'

/** The app of a scope: what is encapsulated inherits from what it is in, and Fastify makes ready the whole only. */
export function rootOf(scope: TestedApp): TestedApp {
  const parent: unknown = Object.getPrototypeOf(scope)
  return isApp(parent) ? rootOf(parent) : scope
}

function isApp(value: unknown): value is TestedApp {
  return 'server' in Object(value)
}
