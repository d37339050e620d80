import type { ConnectionParts } from './connection-parts.js'
import { clientError, toldError } from './error.js'
import type { ServerFrame } from './frame.js'
import { watchHeartbeat } from './heartbeat.js'
import type { Line } from './line.js'
import { keepRefreshed } from './refresh.js'
import { watchPage } from './wake.js'

/** What a connection is from its welcome on, until the signal is aborted. Returns what takes each frame. */
export function openSession(parts: ConnectionParts, line: Line, signal: AbortSignal, connectionId: unknown): (frame: ServerFrame) => void {
  const { requests, heartbeatTimeout } = parts
  const ping = () => void requests.send('$ping', {}).catch(() => {})
  const heartbeat = watchHeartbeat(parts, ping, () => parts.lost(clientError('DISCONNECTED', `No answer within ${heartbeatTimeout} ms.`)))
  const refresh = keepRefreshed(parts, signal, connectionId)
  watchPage(signal, heartbeat.check, heartbeat.check)
  heartbeat.seen()

  return ({ type, id, payload, topic }) => {
    heartbeat.seen()
    if (type === '$reply') line.settle(id, undefined, payload)
    else if (type === '$error') line.settle(id, toldError(payload))
    else if (type === '$expiring') refresh()
    else parts.emit(type, payload, topic)
  }
}
