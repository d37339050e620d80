import { type ClusterConnection, type ClusterNode, openSubscriber, type RedisConnection } from './client.js'
import type { Subscriptions } from './subscriptions.js'

/** The connection to one server of a Cluster, and what it is subscribed to. */
interface Shard {
  readonly connection: RedisConnection
  readonly subscriptions: Subscriptions
}

/** Is lost, even if it may come back. */
const LOST: ReadonlySet<string> = new Set(['close', 'reconnecting', 'end'])

/** Subscriptions at the servers of a Cluster, by their addresses: connections are opened as they are needed. */
export class Shards {
  readonly #cluster: ClusterConnection
  readonly #subscriptionsOn: (connection: RedisConnection) => Subscriptions
  readonly #shards = new Map<string, Shard>()

  constructor(cluster: ClusterConnection, subscriptionsOn: (connection: RedisConnection) => Subscriptions) {
    this.#cluster = cluster
    this.#subscriptionsOn = subscriptionsOn
  }

  /** Undefined where the Cluster has no such server. */
  at(address: string | undefined): Subscriptions | undefined {
    const open = this.#shards.get(String(address))
    if (open) return open.subscriptions
    const node = nodeAt(this.#cluster, address)
    return node && this.#open(node)
  }

  /** Is there a connection, or one to come? */
  isWell(address: string | undefined): boolean {
    const shard = this.#shards.get(String(address))
    return shard !== undefined && !LOST.has(shard.connection.status)
  }

  check(): void {
    for (const { subscriptions } of this.#shards.values()) void subscriptions.check()
  }

  /** Closes connections that have no subscription. */
  closeUnused(): void {
    for (const [address, { subscriptions }] of this.#shards) if (subscriptions.size === 0) this.#close(address)
  }

  closeAll(): void {
    for (const address of this.#shards.keys()) this.#close(address)
  }

  #open(node: ClusterNode): Subscriptions {
    const connection = openSubscriber(node)
    const subscriptions = this.#subscriptionsOn(connection)
    this.#shards.set(addressOf(node), { connection, subscriptions })
    connect(connection)
    return subscriptions
  }

  #close(address: string): void {
    const shard = this.#shards.get(address)
    this.#shards.delete(address)
    shard?.subscriptions.close()
    shard?.connection.disconnect()
  }
}

/** An error that nobody listens to is written to the console; clients do not listen any longer to what they have given up. */
export function connect(connection: RedisConnection): void {
  connection.on('error', () => {})
  connection.connect().catch(() => {})
}

export function nodeAt(cluster: ClusterConnection, address: string | undefined): ClusterNode | undefined {
  return cluster.nodes().find((node) => addressOf(node) === address)
}

export function addressOf({ options }: ClusterNode): string {
  return `${Reflect.get(options, 'host')}:${Reflect.get(options, 'port')}`
}
