/** Whom something is sent to: all connections of a user, one connection, or all. */
export type Target = { readonly user: string } | { readonly connection: string } | { readonly all: true }

/** What goes from node to node. `route` null means all routes. Frames are serialized already. */
export type BusMessage =
  | { readonly kind: 'publish'; readonly route: string; readonly topic: string; readonly frame: Buffer }
  | { readonly kind: 'send'; readonly route: string; readonly target: Target; readonly frame: Buffer }
  | { readonly kind: 'disconnect'; readonly route: string | null; readonly target: Target; readonly code: number; readonly reason: string }

/** A frame from another node, as text that nobody has checked yet. */
export type ForeignFrame =
  | { readonly kind: 'publish'; readonly route: string; readonly topic: string; readonly frame: string }
  | { readonly kind: 'send'; readonly route: string; readonly target: Target; readonly frame: string }

/** What a bus hands messages to: the connections of this node. Answers how many it reached. */
export type Deliver = (message: BusMessage) => number

/**
 * Carries messages to the connections of every node: each at most once, and those to one topic in the order of their publisher.
 * Delivery to this node's is done before `post` returns.
 */
export interface Bus {
  /** Answers how many connections of this node were reached. Never throws, whatever the others do. */
  post(message: BusMessage): number
  /** Resolves when the disconnect that was posted last can not be lost. Rejects when other nodes may never hear of it. */
  whenKept(): Promise<void>
  /** This node has a subscriber for a topic of a route from now on. Resolves when what other nodes publish arrives. Never rejects. */
  listen(route: string, topic: string): Promise<void>
  /** This node has none any more. */
  unlisten(route: string, topic: string): void
  close(): Promise<void>
}

const HERE = Promise.resolve()

/** The bus of a single node. */
export function localBus(deliver: Deliver): Bus {
  return { post: deliver, whenKept: () => HERE, listen: () => HERE, unlisten() {}, close: async () => {} }
}
