/** A server may lie: what of its answers is used is taken field by field, each only where it is of its type. */
export type Fields = Record<string, unknown>

/** No server keeps a client away for longer. */
const LONGEST_WAIT_MS = 86_400_000

export function textOf(value: unknown, otherwise = ''): string {
  return typeof value === 'string' ? value : otherwise
}

/** Milliseconds to wait; undefined for what is no time to come. */
export function waitOf(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 ? Math.min(value, LONGEST_WAIT_MS) : undefined
}
