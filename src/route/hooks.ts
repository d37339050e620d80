/** A hook of ours before those of the app, which may be none, one, or a list. */
export function before<Ours, Others>(hook: Ours, others: Others | Others[] | undefined): (Ours | Others)[] {
  if (others === undefined) return [hook]
  return Array.isArray(others) ? [hook, ...others] : [hook, others]
}
