/** Whom something is sent to: all connections of a user, one connection, or all. */
export type Target = { readonly user: string } | { readonly connection: string } | { readonly all: true }

/** An event on its way to connections. Its frame is serialized already. */
export type EventMessage =
  | { readonly kind: 'publish'; readonly route: string; readonly topic: string; readonly frame: Buffer }
  | { readonly kind: 'send'; readonly route: string; readonly target: Target; readonly frame: Buffer }

/** Connections that are to be closed. `route` null means all routes. */
export interface DisconnectMessage {
  readonly kind: 'disconnect'
  readonly route: string | null
  readonly target: Target
  readonly code: number
  readonly reason: string
}

/** What goes from node to node. */
export type BusMessage = EventMessage | DisconnectMessage

/** A frame from another node, as text that nobody has checked yet. */
export type ForeignFrame =
  | { readonly kind: 'publish'; readonly route: string; readonly topic: string; readonly frame: string }
  | { readonly kind: 'send'; readonly route: string; readonly target: Target; readonly frame: string }

/** What a bus hands messages to: the connections of this node. Answers how many it reached. */
export type Deliver = (message: BusMessage) => number

/** What becomes of a disconnect. */
export interface Disconnecting {
  /** The connections of this node that were closed. */
  readonly disconnected: number
  /** Resolves when no other node can miss it. Rejects when others may never hear of it; that need not be handled. */
  readonly kept: Promise<void>
}

/**
 * Carries messages to the connections of every node: each at most once, and those to one topic in the order of their publisher.
 * Delivery to this node's is done before `post` and `disconnect` return.
 */
export interface Bus {
  /** Answers how many connections of this node were reached. Never throws, whatever the others do. */
  post(message: EventMessage): number
  /** Never throws either. */
  disconnect(message: DisconnectMessage): Disconnecting
  /** This node has a subscriber for a topic of a route from now on. Resolves when what other nodes publish arrives. Never rejects. */
  listen(route: string, topic: string): Promise<void>
  /** This node has none any more. */
  unlisten(route: string, topic: string): void
  close(): Promise<void>
}

const HERE = Promise.resolve()

/** The bus of a single node. */
export function localBus(deliver: Deliver): Bus {
  return {
    post: deliver,
    disconnect: (message) => ({ disconnected: deliver(message), kept: HERE }),
    listen: () => HERE,
    unlisten() {},
    close: async () => {}
  }
}
