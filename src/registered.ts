import { fail } from './errors.js'
import type { Settings } from './options.js'

/** Scopes in which the plugin is registered; those inside of them may have it for themselves. */
const scopes = new WeakSet<object>()

/**
 * Each scope has the plugin once, as it has its decorators once.
 * @throws FST_WS_TICKET_ALREADY_REGISTERED
 */
export function takeScope(scope: object): void {
  if (scopes.has(scope)) throw fail('ALREADY_REGISTERED')
  scopes.add(scope)
}

/** A route of `app.wsRoute`, and the instance that it was called of. */
export interface RegisteredRoute {
  readonly address: string
  readonly scope: object
}

/** One registration of the plugin, and its routes. */
export interface Registration {
  readonly settings: Settings
  readonly routes: RegisteredRoute[]
}

const registrations = new WeakMap<object, readonly Registration[]>()

/** Remembers a registration, for what stands beside the app: its tests. */
export function rememberRegistration(server: object, settings: Settings): Registration {
  const registration: Registration = { settings, routes: [] }
  registrations.set(server, [...registrationsOf(server), registration])
  return registration
}

/** What the app of this server has registered, in order. */
export function registrationsOf(server: object): readonly Registration[] {
  return registrations.get(server) ?? []
}
