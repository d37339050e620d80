import type { Contract, EventPayload, EventType, MessagePayload, MessageReply, MessageType, WithPayload } from '../contract.js'
import type { WsTicketError } from './error.js'
import { streamEvents } from './event-stream.js'
import { keepConnected } from './link.js'
import { type Listeners, listenersOf } from './listeners.js'
import { type BaseOptions, parseOptions } from './options.js'
import type { SendOptions } from './request.js'
import { keepRequests } from './requests.js'
import type { ClientStatus } from './status.js'

/** A connection to a WebSocket route that is opened again whenever it breaks. */
export interface Client<C extends Contract> {
  /** What it does at the moment. */
  readonly status: ClientStatus
  /**
   * Sends a message and resolves with the reply. Without a connection it waits for one. A payload that may be `{}` may be left out.
   * Rejects with a {@link WsTicketError}.
   */
  send<T extends MessageType<C>>(
    type: T,
    ...payload: WithPayload<MessagePayload<C, T>, [options?: SendOptions | undefined]>
  ): Promise<MessageReply<C, T>>
  /** Calls the listener with each such event, and the topic it was published to. Returns what takes it off. */
  on<T extends EventType<C>>(event: T, listener: (payload: EventPayload<C, T>, topic: string | undefined) => void): () => void
  /**
   * For `for await`: such events from then on, kept until they are read, at most 1000. Ends with the client; throws where the
   * client has stopped because of an error.
   */
  events<T extends EventType<C>>(event: T): AsyncIterable<EventPayload<C, T>>
  /** Calls the listener with each new status, and for `waiting` and `closed` with the reason, where there is one. Returns what takes it off. */
  onStatus(listener: (status: ClientStatus, reason: WsTicketError | undefined) => void): () => void
  /** While `waiting`: makes the next attempt within `backoff.min`, though not before the time that the server asked to wait. */
  retry(): void
  /** Closes it for good. */
  close(): void
}

/** Options of a client; durations are in milliseconds. */
export interface ClientOptions<C extends Contract = Contract> extends BaseOptions {
  /**
   * Called each time the server has welcomed the client, before what waits is sent: the place to join topics. When it
   * returns a promise that rejects, `onError` is told, unless the connection was lost meanwhile.
   */
  onOpen?(client: Client<C>): unknown
}

/**
 * Connects to a WebSocket route, and again after each loss, until {@link Client.close}, a refusal that is final, or `token`
 * answers that there is no user.
 *
 * @example
 * const client = createClient<typeof contract>({ url: '/chat', token: () => localStorage.token })
 * client.on('chat.message', ({ from, text }) => show(from, text))
 * const { id } = await client.send('chat.send', { room: 'lobby', text: 'hello' })
 *
 * @throws TypeError where an option is not what it must be or is not known, or there is no WebSocket
 */
export function createClient<C extends Contract>(options: ClientOptions<C>): Client<C>
export function createClient(options: UntypedOptions): UntypedClient {
  const settings = parseOptions(options)
  const requests = keepRequests(settings)
  const statuses = listenersOf<[ClientStatus, WsTicketError | undefined]>(settings.onError)
  const events = new Map<string, Listeners<[unknown, string | undefined]>>()
  const opened = async () => {
    try {
      await options.onOpen?.(client)
    } catch (error) {
      // a connection that was lost meanwhile is greeted anew
      if (!['DISCONNECTED', 'CLIENT_CLOSED'].includes(Object(error).code)) settings.onError(error)
    }
  }
  const link = keepConnected(settings, requests, statuses.emit, opened, (type, payload, topic) => events.get(type)?.emit(payload, topic))
  const on = (event: string, listener: (payload: unknown, topic: string | undefined) => void) => {
    const listeners = events.get(event) ?? listenersOf(settings.onError)
    events.set(event, listeners)
    return listeners.add(listener)
  }
  const client: UntypedClient = {
    get status() {
      return link.status()
    },
    send: requests.send,
    on,
    events: (event) => ({
      [Symbol.asyncIterator]: () =>
        streamEvents<unknown>((push, end) => {
          const unlisten = on(event, push)
          const unwatch = statuses.add((now, reason) => now === 'closed' && end(reason))
          // whoever comes after the end would wait for ever
          if (link.status() === 'closed') queueMicrotask(end)
          return () => {
            unlisten()
            unwatch()
          }
        })
    }),
    onStatus: statuses.add,
    retry: link.retry,
    close: () => link.close()
  }
  return client
}

/** What a client is whatever its contract, of which nothing but types is there. */
interface UntypedClient {
  readonly status: ClientStatus
  send(type: string, payload?: unknown, options?: SendOptions): Promise<unknown>
  on(event: string, listener: (payload: unknown, topic: string | undefined) => void): () => void
  events(event: string): AsyncIterable<unknown>
  onStatus: Client<Contract>['onStatus']
  retry(): void
  close(): void
}

interface UntypedOptions extends BaseOptions {
  onOpen?(client: UntypedClient): unknown
}
