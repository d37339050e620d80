import { randomInt } from 'node:crypto'
import type { Clock } from '../clock.js'
import { type ClusterConnection, type ClusterNode, openSubscriber, type RedisConnection } from './client.js'
import { RedisFailure } from './failure.js'
import { keySlot } from './key-slot.js'
import type { RedisLink } from './link.js'
import type { PubSub, PubSubEvents } from './pub-sub.js'
import { SlotRefresh } from './slot-refresh.js'
import { CLASSIC, SHARDED, Subscriptions } from './subscriptions.js'

/** The connection to one server of the Cluster, and what it is subscribed to. */
interface Shard {
  readonly connection: RedisConnection
  readonly subscriptions: Subscriptions
}

/** Far more than there are servers. */
const MANY = 2 ** 32
/** What a connection is that is lost, even if it may come back. */
const LOST: ReadonlySet<string> = new Set(['close', 'reconnecting', 'end'])

/**
 * On a Cluster: sharded, each channel on the server that has its slot; or, where the servers are older than Redis 7, classic, all
 * channels on any one server. All nodes of a deployment must do it in the same way, which is why the servers decide. A channel
 * is with one connection at a time, so that nothing comes twice while slots move from one server to another.
 */
export class ClusterPubSub implements PubSub {
  readonly #link: RedisLink
  readonly #cluster: ClusterConnection
  readonly #clock: Clock
  readonly #events: PubSubEvents
  readonly #shards = new Map<string, Shard>()
  /** Where each channel is subscribed to; undefined while no server is known to have it. */
  readonly #channels = new Map<string, Shard | undefined>()
  readonly #slotRefresh: SlotRefresh
  readonly #listeners: readonly [event: string, listener: () => void][]
  #way: typeof CLASSIC | typeof SHARDED = SHARDED
  /** The server of all channels, where it is classic. */
  #home: string | undefined

  constructor(link: RedisLink, cluster: ClusterConnection, clock: Clock, events: PubSubEvents) {
    this.#link = link
    this.#cluster = cluster
    this.#clock = clock
    this.#events = events
    this.#slotRefresh = new SlotRefresh(cluster, clock, () => this.#assignAll())
    this.#listeners = [
      ['ready', () => this.#assignAll()],
      ['-node', () => this.#slotRefresh.request()]
    ]
    for (const [event, listener] of this.#listeners) cluster.on(event, listener)
    if (cluster.status === 'ready') this.#assignAll()
  }

  async start(): Promise<void> {
    await Promise.allSettled(this.#cluster.nodes('master').map((node) => this.#link.commands.callOn(node, 'ping', [])))
  }

  /**
   * Straight through the connection to the server, and only once that is ready: what the client queues until then, and sends again
   * where slots have moved, does not keep its order.
   */
  publish(channel: string, text: string): Promise<unknown> {
    const node = this.#nodeAt(this.#addressFor(channel))
    const published =
      node?.status === 'ready'
        ? this.#link.commands.callOn(node, this.#way.publish, [channel, text])
        : Promise.reject(new RedisFailure('UNREACHABLE', 'its server is not connected'))
    published.catch(() => this.#slotRefresh.request())
    return published
  }

  subscribe(channel: string): void {
    this.#channels.set(channel, undefined)
    this.#assign(channel)
  }

  unsubscribe(channel: string): void {
    this.#channels.get(channel)?.subscriptions.remove(channel)
    this.#channels.delete(channel)
  }

  isConfirmed(channel: string): boolean {
    return this.#channels.get(channel)?.subscriptions.isConfirmed(channel) === true
  }

  check(): void {
    for (const { subscriptions } of this.#shards.values()) void subscriptions.check()
    if ([...this.#channels.values()].includes(undefined)) this.#slotRefresh.request()
  }

  close(): void {
    for (const [event, listener] of this.#listeners) this.#cluster.off(event, listener)
    this.#slotRefresh.close()
    this.#channels.clear()
    this.#closeShards()
  }

  #troubled(failure?: RedisFailure): void {
    if (this.#way === SHARDED && failure && /unknown command/i.test(failure.message)) return this.#goClassic()
    if (failure) this.#events.failed(failure)
    this.#slotRefresh.request()
  }

  #goClassic(): void {
    this.#way = CLASSIC
    for (const channel of this.#channels.keys()) this.#channels.set(channel, undefined)
    this.#closeShards()
    this.#assignAll()
  }

  #assignAll(): void {
    this.#connectAll()
    if (this.#way === CLASSIC) this.#home = this.#findHome()
    for (const channel of this.#channels.keys()) this.#assign(channel)
    for (const [address, shard] of this.#shards) {
      if (shard.subscriptions.size === 0) this.#closeShard(address, shard)
    }
  }

  /** So that what is published finds a connection that is ready. */
  #connectAll(): void {
    for (const node of this.#cluster.nodes('master')) {
      if (node.status === 'wait') connect(node)
    }
  }

  #assign(channel: string): void {
    const former = this.#channels.get(channel)
    const shard = this.#shardAt(this.#addressFor(channel))
    if (shard === former) return
    former?.subscriptions.remove(channel)
    this.#channels.set(channel, shard)
    shard?.subscriptions.add(channel)
  }

  #addressFor(channel: string): string | undefined {
    return this.#way === CLASSIC ? this.#home : this.#cluster.slots[keySlot(channel)]?.[0]
  }

  /** The one that it is, as long as that is well; else any other. */
  #findHome(): string | undefined {
    const shard = this.#shards.get(this.#home ?? '')
    if (shard && !LOST.has(shard.connection.status) && this.#nodeAt(this.#home)) return this.#home
    const others = this.#cluster
      .nodes('master')
      .map(addressOf)
      .filter((address) => address !== this.#home)
    return others.at(randomInt(MANY) % others.length)
  }

  #nodeAt(address: string | undefined): ClusterNode | undefined {
    return this.#cluster.nodes().find((node) => addressOf(node) === address)
  }

  #shardAt(address: string | undefined): Shard | undefined {
    if (address === undefined) return undefined
    const open = this.#shards.get(address)
    if (open) return open
    const node = this.#nodeAt(address)
    return node && this.#open(address, node)
  }

  #open(address: string, node: ClusterNode): Shard {
    const connection = openSubscriber(node)
    const subscriptions = new Subscriptions(connection, {
      way: this.#way,
      clock: this.#clock,
      timeoutMs: this.#link.commands.timeoutMs,
      received: this.#events.received,
      confirmed: this.#events.confirmed,
      troubled: (failure) => this.#troubled(failure)
    })
    const shard = { connection, subscriptions }
    this.#shards.set(address, shard)
    connect(connection)
    return shard
  }

  #closeShard(address: string, { connection, subscriptions }: Shard): void {
    this.#shards.delete(address)
    subscriptions.close()
    connection.disconnect()
  }

  #closeShards(): void {
    for (const [address, shard] of this.#shards) this.#closeShard(address, shard)
  }
}

/** An error that nobody listens to is written to the console; clients do not listen any longer to what they have given up. */
function connect(connection: RedisConnection): void {
  connection.on('error', () => {})
  connection.connect().catch(() => {})
}

function addressOf({ options }: ClusterNode): string {
  return `${Reflect.get(options, 'host')}:${Reflect.get(options, 'port')}`
}
