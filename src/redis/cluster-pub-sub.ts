import { randomInt } from 'node:crypto'
import type { Clock } from '../clock.js'
import type { ClusterConnection } from './client.js'
import { RedisFailure } from './failure.js'
import { keySlot } from './key-slot.js'
import type { RedisLink } from './link.js'
import type { PubSub, PubSubEvents } from './pub-sub.js'
import { addressOf, connect, nodeAt, Shards } from './shards.js'
import { SlotRefresh } from './slot-refresh.js'
import { CLASSIC, SHARDED, Subscriptions } from './subscriptions.js'

/** Far more than there are servers. */
const MANY = 2 ** 32

/**
 * On a Cluster: sharded, each channel on the server that has its slot; or, where the servers are older than Redis 7, classic, all
 * channels on any one server. All nodes of a deployment must do it in the same way, which is why the servers decide. A channel
 * is with one connection at a time, so that nothing comes twice while slots move from one server to another.
 */
export class ClusterPubSub implements PubSub {
  readonly #link: RedisLink
  readonly #cluster: ClusterConnection
  readonly #events: PubSubEvents
  readonly #shards: Shards
  /** Where each channel is subscribed to; undefined while no server is known to have it. */
  readonly #channels = new Map<string, Subscriptions | undefined>()
  readonly #slotRefresh: SlotRefresh
  readonly #listeners: readonly [event: string, listener: () => void][]
  #way: typeof CLASSIC | typeof SHARDED = SHARDED
  /** The server of all channels, where it is classic. */
  #home: string | undefined

  constructor(link: RedisLink, cluster: ClusterConnection, clock: Clock, events: PubSubEvents) {
    this.#link = link
    this.#cluster = cluster
    this.#events = events
    this.#shards = new Shards(cluster, (connection) => {
      return new Subscriptions(connection, {
        way: this.#way,
        clock,
        timeoutMs: link.commands.timeoutMs,
        received: events.received,
        confirmed: events.confirmed,
        troubled: (failure) => this.#troubled(failure)
      })
    })
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
    const node = nodeAt(this.#cluster, this.#addressFor(channel))
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
    this.#channels.get(channel)?.remove(channel)
    this.#channels.delete(channel)
  }

  isConfirmed(channel: string): boolean {
    return this.#channels.get(channel)?.isConfirmed(channel) === true
  }

  check(): void {
    this.#shards.check()
    if ([...this.#channels.values()].includes(undefined)) this.#slotRefresh.request()
  }

  close(): void {
    for (const [event, listener] of this.#listeners) this.#cluster.off(event, listener)
    this.#slotRefresh.close()
    this.#channels.clear()
    this.#shards.closeAll()
  }

  #troubled(failure?: RedisFailure): void {
    if (this.#way === SHARDED && failure && /unknown command/i.test(failure.message)) return this.#goClassic()
    if (failure) this.#events.failed(failure)
    this.#slotRefresh.request()
  }

  #goClassic(): void {
    this.#way = CLASSIC
    for (const channel of this.#channels.keys()) this.#channels.set(channel, undefined)
    this.#shards.closeAll()
    this.#assignAll()
  }

  #assignAll(): void {
    this.#connectAll()
    if (this.#way === CLASSIC) this.#home = this.#findHome()
    for (const channel of this.#channels.keys()) this.#assign(channel)
    this.#shards.closeUnused()
  }

  /** So that what is published finds a connection that is ready. */
  #connectAll(): void {
    for (const node of this.#cluster.nodes('master')) if (node.status === 'wait') connect(node)
  }

  #assign(channel: string): void {
    const former = this.#channels.get(channel)
    const next = this.#shards.at(this.#addressFor(channel))
    if (next === former) return
    former?.remove(channel)
    this.#channels.set(channel, next)
    next?.add(channel)
  }

  #addressFor(channel: string): string | undefined {
    return this.#way === CLASSIC ? this.#home : this.#cluster.slots[keySlot(channel)]?.[0]
  }

  /** The one that it is, as long as that is well; else any other. */
  #findHome(): string | undefined {
    if (this.#shards.isWell(this.#home) && nodeAt(this.#cluster, this.#home)) return this.#home
    const others = this.#cluster
      .nodes('master')
      .map(addressOf)
      .filter((address) => address !== this.#home)
    return others.at(randomInt(MANY) % others.length)
  }
}
