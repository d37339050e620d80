import { createHash } from 'node:crypto'

/** A Lua script, which Redis runs in one atomic step. It names one key only, so that it works on a Cluster. */
export interface RedisScript {
  readonly source: string
  /** What EVALSHA knows it by. */
  readonly sha: string
}

export function script(source: string): RedisScript {
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}
