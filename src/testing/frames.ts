import type { Contract, EventPayload, EventType } from '../contract.js'
import type { ErrorPayload } from '../protocol.js'

/** The frames that are the protocol's own, by type. */
interface ControlFrames {
  $welcome: { readonly type: '$welcome'; readonly payload: { readonly connection: string; readonly expiresAt: number } }
  $expiring: { readonly type: '$expiring'; readonly payload: { readonly expiresAt: number } }
  $reply: { readonly type: '$reply'; readonly id: number; readonly payload: unknown }
  $error: { readonly type: '$error'; readonly id?: number; readonly payload: ErrorPayload }
}

/** The types of frames that a connection may get: the contract's events and the protocol's own. */
export type FrameType<C extends Contract> = EventType<C> | keyof ControlFrames

/** A frame of one type, or of several. */
export type Frame<C extends Contract, T extends FrameType<C> = FrameType<C>> = T extends keyof ControlFrames
  ? ControlFrames[T]
  : T extends EventType<C>
    ? { readonly type: T; readonly topic?: string; readonly payload: EventPayload<C, T> }
    : never
