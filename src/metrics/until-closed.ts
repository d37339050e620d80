import type { FastifyInstance } from 'fastify'
import { fail } from '../errors.js'

/**
 * For whoever shows what happens in an app, before anything is shown: what is handed to the answer is called when the app closes.
 *
 * @throws FST_WS_TICKET_NOT_REGISTERED, FST_WS_TICKET_APP_READY
 */
export function untilClosed(app: FastifyInstance): (undo: () => void) => void {
  if (!app.hasDecorator('wsTicket')) throw fail('NOT_REGISTERED')
  const undos: (() => void)[] = []
  addCloseHook(app, async () => {
    for (const undo of undos) undo()
  })
  return (undo) => void undos.push(undo)
}

function addCloseHook(app: FastifyInstance, hook: () => Promise<void>): void {
  try {
    app.addHook('onClose', hook)
  } catch (cause) {
    // Fastify says so of a hook, which nobody has written
    throw fail('APP_READY', [], { cause })
  }
}
