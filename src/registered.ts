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

/** Servers whose app has registered the plugin. */
const registered = new WeakMap<object, Settings>()

/** Remembers the settings of a server's app; where it has registered the plugin more than once, those of the first time. */
export function rememberSettings(server: object, settings: Settings): void {
  if (!registered.has(server)) registered.set(server, settings)
}

/** With which settings the app of this server has registered the plugin, for what stands beside the app: its tests. */
export function settingsOf(server: object): Settings | undefined {
  return registered.get(server)
}
