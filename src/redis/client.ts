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
  off(event: string, listener: (...values: never[]) => void): unknown
}

/** One server of a Cluster. */
export type ClusterNode = RedisConnection & RedisClient

/** What a Cluster has besides. */
export interface ClusterConnection extends RedisConnection {
  /** Which servers have which slot: `host:port`, that of the master first. */
  readonly slots: readonly (readonly string[] | undefined)[]
  nodes(role?: 'master'): ClusterNode[]
  /** Asks a server which servers have which slot; `done` is called when it has answered, or none does. */
  refreshSlotsCache(done: () => void): void
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
  retryStrategy: retryDelay,
  sentinelRetryStrategy: retryDelay,
  // the server has become a replica: its successor is looked for
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY')
}

/** Whoever waits for an answer is told at once that there is none: nothing waits for the server, and nothing is sent twice. */
const COMMANDS = {
  ...CONNECTION,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  enableAutoPipelining: true,
  readOnly: false
}

/** Who subscribes knows to what, and does it again on each new connection; what the client would remember may be out of date. */
const SUBSCRIBER = { ...COMMANDS, enableAutoPipelining: false, autoResubscribe: false }

const CLUSTER = {
  lazyConnect: true,
  keyPrefix: '',
  scaleReads: 'master',
  clusterRetryStrategy: retryDelay,
  slotsRefreshTimeout: 2000,
  shardedSubscribers: false
}
const CLUSTER_COMMANDS = {
  ...CLUSTER,
  // each server is connected to when it is first needed, and refuses all commands meanwhile but the one that needed it
  enableOfflineQueue: true,
  // iovalkey, and ioredis before 5.9, would send keys of several servers in one pipeline
  enableAutoPipelining: false,
  // both would send a command again that may have been carried out
  retryDelayOnFailover: 0,
  retryDelayOnClusterDown: 0,
  redisOptions: { keyPrefix: '', socketTimeout: SOCKET_TIMEOUT_MS, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 }
}

/** A connection for commands, not connected yet. */
export function openCommands(client: RedisClient): RedisConnection {
  return client.isCluster ? duplicateCluster(client, CLUSTER_COMMANDS) : duplicate(client, [COMMANDS])
}

/**
 * A connection for subscriptions, not connected yet. For a Cluster it is one that knows which server has which slot; to subscribe
 * takes a connection for subscriptions to one of its nodes.
 */
export function openSubscriber(client: RedisClient): RedisConnection {
  return client.isCluster ? duplicateCluster(client, CLUSTER_COMMANDS) : duplicate(client, [SUBSCRIBER])
}

/** What the client puts before each of its keys. */
export function keyPrefixOf({ options }: RedisClient): string {
  const prefix: unknown = Reflect.get(options, 'keyPrefix')
  return typeof prefix === 'string' ? prefix : ''
}

/** The number of the database in which a connection has its keys. Channels are the same in all of them. */
export function databaseOf(connection: RedisConnection): number {
  const database: unknown = Reflect.get(Object(Reflect.get(connection, 'options')), 'db')
  return Number(database ?? 0)
}

export function isClusterConnection(connection: RedisConnection): connection is ClusterConnection {
  return Reflect.get(connection, 'isCluster') === true
}

/** Is this a client that connections can be had of? */
export function isRedisClient(value: unknown): value is RedisClient {
  if (!isObject(value) || !hasMethods(value, ['duplicate', 'call'])) return false
  return typeof Reflect.get(value, 'isCluster') === 'boolean' && isObject(Reflect.get(value, 'options'))
}

/** What holds for each server of a Cluster, a password for example, is not left to `duplicate`, which may drop it. */
function duplicateCluster(client: RedisClient, overrides: { readonly redisOptions: object }): RedisConnection {
  const { redisOptions } = overrides
  return duplicate(client, [
    [],
    { ...overrides, redisOptions: { ...Object(Reflect.get(client.options, 'redisOptions')), ...redisOptions } }
  ])
}

function duplicate(client: RedisClient, args: readonly unknown[]): RedisConnection {
  const made: unknown = Reflect.apply(client.duplicate, client, args)
  if (isConnection(made)) return made
  throw new TypeError('the Redis client makes no connection of its kind')
}

function isConnection(value: unknown): value is RedisConnection {
  return isObject(value) && hasMethods(value, ['call', 'connect', 'disconnect', 'on'])
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function hasMethods(value: object, names: readonly string[]): boolean {
  return names.every((name) => typeof Reflect.get(value, name) === 'function')
}
