import t from 'tap'
import type { RedisClient } from '../../src/redis/client.js'
import { hashText } from '../../src/redis/keys.js'
import type { RedisLink } from '../../src/redis/link.js'
import { scanKeys } from '../../src/redis/scan.js'
import { needs } from '../fixtures/parts.js'
import { CLIENT_NAMES, openClient, openClusterClient } from '../fixtures/redis-clients.js'
import { startCluster } from '../fixtures/redis-cluster.js'
import { openLink } from '../fixtures/redis-links.js'
import { RedisServer } from '../fixtures/redis-server.js'

async function foundBy(link: RedisLink, kind: string): Promise<string[]> {
  const found = new Set<string>()
  for await (const keys of scanKeys(link, kind)) for (const key of keys) found.add(key)
  return [...found].sort()
}

if (needs(t, 'redis-server')) {
  t.test('all keys of a kind are found, on each server there is, and no others', async (t) => {
    const { port } = await RedisServer.start(t)
    const [first] = await startCluster(t)
    const clients: [string, RedisClient][] = CLIENT_NAMES.flatMap((name) => [
      [name, openClient(t, port, name)],
      [`a Cluster with ${name}`, openClusterClient(t, first?.port ?? 0, name)]
    ])
    for (const [name, client] of clients) {
      const link = await openLink(t, client, { prefix: name.replaceAll(' ', '-') })
      t.same(await foundBy(link, 'some'), [], `${name}: none`)
      const some = Array.from({ length: 2500 }, (_, i) => link.keys.of('some', hashText(`${i}`)))
      const others = [link.keys.of('some', 'more', hashText('')), link.keys.of('some', ''), link.keys.of('some', `${hashText('')}0`)]
      others.push(link.keys.of('other', hashText('')), `other-${link.keys.of('some', hashText(''))}`)
      await Promise.all([...some, ...others].map((key) => link.commands.call('SET', [key, 1])))
      t.same(await foundBy(link, 'some'), some.sort(), `${name}: all of them`)
    }
  })

  t.test('I1 where there is no server it fails', async (t) => {
    const server = await RedisServer.start(t)
    const link = await openLink(t, openClient(t, server.port))
    await server.kill()
    await t.rejects(foundBy(link, 'some'), { name: 'RedisFailure' })
  })
}
