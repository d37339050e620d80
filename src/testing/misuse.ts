const misuses = new WeakSet<object>()

/** An error that says how the kit is to be used. */
export function misuse(message: string, Kind: typeof TypeError | typeof RangeError = TypeError): Error {
  const error = new Kind(message)
  misuses.add(error)
  return error
}

export function isMisuse(error: unknown): error is Error {
  return misuses.has(Object(error))
}
