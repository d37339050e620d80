/**
 * The concrete path of a route, as a ticket is bound to it: its parameters, decoded, in the order of their names.
 * So every spelling of a path is the same path.
 */
export function pathOf(params: unknown): string {
  return JSON.stringify(Object.entries(Object(params)).sort(([a], [b]) => (a < b ? -1 : 1)))
}
