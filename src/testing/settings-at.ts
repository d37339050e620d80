import type { Settings } from '../options.js'
import { registrationsOf } from '../registered.js'

/**
 * The settings by which the app of this server answers at a path: those of the registration that has a route there, else of the first;
 * undefined where it has not registered the plugin.
 */
export function settingsAt(server: object, path: string): Settings | undefined {
  const registrations = registrationsOf(server)
  const wanted = segmentsOf(path)
  const routes = registrations.flatMap(({ settings, addresses }) => addresses.map((address) => ({ settings, fit: fitOf(address, wanted) })))
  const [best] = routes.filter(({ fit }) => fit !== '').sort((a, b) => (a.fit < b.fit ? 1 : -1))
  return best?.settings ?? registrations[0]?.settings
}

/** The greater, the better: Fastify prefers what is written out to parameters, from the left. Empty where it does not fit. */
function fitOf(address: string, wanted: readonly string[]): string {
  const segments = segmentsOf(address)
  const fits = segments.length === wanted.length && segments.every((segment, index) => isParameter(segment) || segment === wanted[index])
  return fits ? `/${segments.map((segment) => (isParameter(segment) ? 0 : 1)).join('')}` : ''
}

/** `:room`, and what has one in it: `:from-:to`. */
function isParameter(segment: string): boolean {
  return segment.includes(':')
}

/** Without the query, and whether or not a slash stands at the end. */
function segmentsOf(path: string): string[] {
  const [address = ''] = path.split('?', 1)
  return address.split('/').filter((segment) => segment !== '')
}
