import type { Settings } from '../options.js'
import { registrationsOf } from '../registered.js'
import { misuse } from './misuse.js'

/** What is at a path of an app. */
export interface RouteAt {
  readonly settings: Settings
  /** The instance that has the route, whose decorators hold for it; undefined where no route fits. */
  readonly scope: object | undefined
  /** Which routes there are, where none fits; else empty. */
  readonly hint: string
}

/**
 * By what the app of this server answers at a path: the registration and the scope that have a route there, else the first registration.
 * @throws TypeError where it has not registered the plugin
 */
export function routeAt(server: object, path: string): RouteAt {
  const registrations = registrationsOf(server)
  const [first] = registrations
  if (!first) {
    throw misuse(
      'The app has not registered fastify-ws-ticket, or its copy is another than that of the tests; await app.register(wsTicket, …) before.'
    )
  }
  const wanted = segmentsOf(path)
  const all = registrations.flatMap(({ settings, routes }) => routes.map((route) => ({ ...route, settings })))
  const fitting = all.map((route) => ({ ...route, fit: fitOf(route.address, wanted) })).filter(({ fit }) => fit !== '')
  const [best] = fitting.sort((a, b) => (a.fit < b.fit ? 1 : -1))
  if (best) return { settings: best.settings, scope: best.scope, hint: '' }
  const addresses = all.map(({ address }) => address).join(', ') || 'none'
  return { settings: first.settings, scope: undefined, hint: `Routes of wsRoute, with their prefixes: ${addresses}.` }
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
