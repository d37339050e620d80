import type { Clock } from '../clock.js'
import { isClusterConnection } from './client.js'
import { ClusterPubSub } from './cluster-pub-sub.js'
import type { RedisLink } from './link.js'
import type { PubSub, PubSubEvents } from './pub-sub.js'
import { ServerPubSub } from './server-pub-sub.js'

/** Publishing and subscribing on whatever there is: one server, Sentinel or a Cluster. */
export function openPubSub(link: RedisLink, clock: Clock, events: PubSubEvents): PubSub {
  const { subscriber } = link
  return isClusterConnection(subscriber)
    ? new ClusterPubSub(link, subscriber, clock, events)
    : new ServerPubSub(link, subscriber, clock, events)
}
