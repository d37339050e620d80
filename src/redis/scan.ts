import { isClusterConnection, type RedisConnection } from './client.js'
import type { RedisLink } from './link.js'

/** How many keys a server looks at for one answer. */
const COUNT = 1000
/** What {@link hashText} makes: another app's prefix may begin as our keys do. */
const HASH = /^[\w-]{43}$/

/**
 * All keys of this kind that end with a hash, on every server, some at a time. What is there all the while is told at
 * least once.
 * @throws RedisFailure
 */
export async function* scanKeys({ connection, commands, keys }: RedisLink, kind: string): AsyncGenerator<string[]> {
  const beginning = keys.of(kind, '').length
  for (const server of mastersOf(connection)) {
    let cursor = '0'
    do {
      const answer = await commands.callOn(server, 'SCAN', [cursor, 'MATCH', keys.matching(kind), 'COUNT', COUNT])
      const [next, found] = Object.values(Object(answer))
      cursor = String(next)
      yield Object.values(Object(found))
        .map(String)
        .filter((key) => HASH.test(key.slice(beginning)))
    } while (cursor !== '0')
  }
}

function mastersOf(connection: RedisConnection): RedisConnection[] {
  return isClusterConnection(connection) ? connection.nodes('master') : [connection]
}
