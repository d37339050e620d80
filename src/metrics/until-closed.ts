import type { FastifyInstance } from 'fastify'
import { fail } from '../errors.js'

/**
 * For whoever shows what happens in an app, before anything is shown: what is handed to the answer is called when the app closes.
 *
 * @throws FST_WS_TICKET_NOT_REGISTERED, or Fastify's own error where the app is ready
 */
export function untilClosed(app: FastifyInstance): (undo: () => void) => void {
  if (!app.hasDecorator('wsTicket')) throw fail('NOT_REGISTERED')
  const undos: (() => void)[] = []
  app.addHook('onClose', async () => {
    for (const undo of undos) undo()
  })
  return (undo) => void undos.push(undo)
}
