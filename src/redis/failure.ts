const MAX_TEXT = 200

/** What went wrong with Redis. Holds nothing of the command, whose arguments may be secret. */
export class RedisFailure extends Error {
  /** The first word of the server's answer, such as `OOM`; `TIMEOUT`, `UNREACHABLE`, `BUSY`, `CLOSED` or `LATE` where there was none. */
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.name = 'RedisFailure'
    this.code = code
  }
}

/** A failure as it may be logged: errors of clients carry the command that failed, with a password in it or a user's claims. */
export function failureOf(error: unknown): RedisFailure {
  if (error instanceof RedisFailure) return error
  const text = causeOf(error)
  const [said = ''] = text.split(/, with args beginning with/i)
  // a script is told so in words of its own
  const isForbidden = /can't run this command|can't access at least one of the keys/i.test(said)
  const [code = ''] = isForbidden ? ['NOPERM'] : (/^[A-Z]{2,}(?= )/.exec(said) ?? [])
  return new RedisFailure(code || 'UNREACHABLE', said.slice(0, MAX_TEXT))
}

/** A Cluster says that all nodes failed, and keeps why in another error. */
function causeOf(error: unknown): string {
  const inner: unknown = Reflect.get(Object(error), 'lastNodeError') ?? error
  return inner instanceof Error && inner.message !== '' ? inner.message : 'failed without a message'
}
