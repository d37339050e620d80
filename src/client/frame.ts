/** A frame from the server. Of the types in `ControlType` the client spells those that it knows, since all of a table would be in its bundle. */
export interface ServerFrame {
  readonly type: string
  readonly id?: number
  readonly topic?: string
  readonly payload?: unknown
}

/** Undefined for what is no frame of ours; it is passed over. */
export function decodeFrame(data: unknown): ServerFrame | undefined {
  try {
    const frame: ServerFrame = JSON.parse(String(data))
    const { type, id = 0, topic = '' }: Record<string, unknown> = Object(frame)
    if (typeof type === 'string' && typeof id === 'number' && typeof topic === 'string') return frame
  } catch {
    // it is passed over
  }
  return
}
