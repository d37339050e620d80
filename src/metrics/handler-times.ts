import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import { channels, type MessageEvent } from './events.js'

/** Tells how long each handler of an app took, in seconds, until what it answers is called. */
export function tellHandlerTimes(
  app: FastifyInstance,
  tell: (seconds: number, labels: { route: string; type: string }) => void
): () => void {
  const source: unknown = app.wsTicket
  const onMessage = (event: unknown) => {
    if (!isMessageEvent(event) || event.source !== source || event.handlerMs === undefined) return
    tell(event.handlerMs / 1000, { route: event.route, type: event.type })
  }
  subscribe(channels.message.name, onMessage)
  return () => {
    unsubscribe(channels.message.name, onMessage)
  }
}

function isMessageEvent(event: unknown): event is MessageEvent {
  return typeof event === 'object' && event !== null && 'handlerMs' in event
}
