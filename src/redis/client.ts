import { randomInt } from 'node:crypto'

/**
 * A client of Redis 6.2 or later, or of Valkey: one of ioredis 5 or 6 or of iovalkey, for one server, Sentinel or a Cluster.
 * It is asked for connections of the same settings and is never used, changed or closed itself.
 */
export interface RedisClient {
  readonly isCluster: boolean
  readonly options: object
  duplicate(): object
}

/** What is used of a connection of our own. */
export interface RedisConnection {
  readonly status: string
  call(command: string, args: readonly (string | number)[]): Promise<unknown>
  connect(): Promise<void>
  disconnect(reconnect?: boolean): void
  on(event: string, listener: (...values: never[]) => void): unknown
}

/** What a Cluster has besides. */
export interface ClusterConnection extends RedisConnection {
  nodes(role: 'master'): RedisConnection[]
}

/** A socket on which nothing comes for so long, though something is due, is given up. */
const SOCKET_TIMEOUT_MS = 5000
const MIN_RETRY_MS = 50
const MAX_RETRY_MS = 2000

/** Never gives up, and nodes do not come back all at once. */
function retryDelay(times: number): number {
  return randomInt(MIN_RETRY_MS, Math.min(MIN_RETRY_MS * 2 ** times, MAX_RETRY_MS) + 1)
}

const CONNECTION = {
  lazyConnect: true,
  // our own keys begin with the client's prefix already
  keyPrefix: '',
  socketTimeout: SOCKET_TIMEOUT_MS,
  // the server has become a replica: its successor is looked for
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY')
}

/** Whoever waits for an answer is told at once that there is none: nothing waits for the server, and nothing is sent twice. */
const COMMANDS = {
  ...CONNECTION,
  retryStrategy: retryDelay,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  enableAutoPipelining: true,
  readOnly: false
}

/** What is subscribed to is subscribed to again, however long the server was away. */
const SUBSCRIBER = {
  ...CONNECTION,
  retryStrategy: retryDelay,
  maxRetriesPerRequest: null,
  enableOfflineQueue: true,
  autoResubscribe: true,
  autoResendUnfulfilledCommands: true,
  enableAutoPipelining: false
}

const CLUSTER = { lazyConnect: true, keyPrefix: '', scaleReads: 'master', clusterRetryStrategy: retryDelay, slotsRefreshTimeout: 2000 }
const CLUSTER_COMMANDS = {
  ...CLUSTER,
  enableOfflineQueue: false,
  // iovalkey, and ioredis before 5.9, would send keys of several servers in one pipeline
  enableAutoPipelining: false,
  // both would send a command again that may have been carried out
  retryDelayOnFailover: 0,
  retryDelayOnClusterDown: 0,
  redisOptions: { keyPrefix: '', socketTimeout: SOCKET_TIMEOUT_MS, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 }
}
const CLUSTER_SUBSCRIBER = {
  ...CLUSTER,
  enableOfflineQueue: true,
  enableAutoPipelining: false,
  shardedSubscribers: true,
  redisOptions: { keyPrefix: '', socketTimeout: SOCKET_TIMEOUT_MS }
}

/** A connection for commands, not connected yet. */
export function openCommands(client: RedisClient): RedisConnection {
  return duplicate(client, client.isCluster ? CLUSTER_COMMANDS : COMMANDS)
}

/** A connection for subscriptions, not connected yet. */
export function openSubscriber(client: RedisClient): RedisConnection {
  return duplicate(client, client.isCluster ? CLUSTER_SUBSCRIBER : SUBSCRIBER)
}

/** What the client puts before each of its keys. */
export function keyPrefixOf({ options }: RedisClient): string {
  const prefix: unknown = Reflect.get(options, 'keyPrefix')
  return typeof prefix === 'string' ? prefix : ''
}

export function isClusterConnection(connection: RedisConnection): connection is ClusterConnection {
  return Reflect.get(connection, 'isCluster') === true
}

/** Is this a client that connections can be had of? */
export function isRedisClient(value: unknown): value is RedisClient {
  if (typeof value !== 'object' || value === null) return false
  const { isCluster, options, duplicate, call } = Object.assign(Object.create(null), pick(value))
  return typeof isCluster === 'boolean' && typeof options === 'object' && typeof duplicate === 'function' && typeof call === 'function'
}

function pick(value: object): object {
  return Object.fromEntries(['isCluster', 'options', 'duplicate', 'call'].map((name) => [name, Reflect.get(value, name)]))
}

function duplicate(client: RedisClient, overrides: object): RedisConnection {
  const made: unknown = Reflect.apply(client.duplicate, client, client.isCluster ? [[], overrides] : [overrides])
  if (isConnection(made)) return made
  throw new TypeError('the Redis client makes no connection of its kind')
}

function isConnection(value: unknown): value is RedisConnection {
  return typeof value === 'object' && value !== null && ['call', 'connect', 'disconnect', 'on'].every((name) => name in value)
}
