/** A frame from the server. */
export interface ServerFrame {
  readonly type: string
  readonly id?: number
  readonly topic?: string
  readonly payload?: unknown
}

/** Undefined for what is no frame of ours; it is passed over. */
export function decodeFrame(data: unknown): ServerFrame | undefined {
  try {
    const frame: unknown = JSON.parse(String(data))
    return isFrame(frame) ? frame : undefined
  } catch {
    return undefined
  }
}

function isFrame(value: unknown): value is ServerFrame {
  const { type, id = 0, topic = '' }: Record<string, unknown> = Object(value)
  return typeof type === 'string' && typeof id === 'number' && typeof topic === 'string'
}
