import { WsTicketError } from '../client/error.js'
import { isMisuse } from './misuse.js'

/**
 * Runs what a test has called. What it rejects with has the stack of that call, so that it leads to the line of the test, whatever
 * timer or frame it was that made it fail.
 *
 * @param called the function of the kit that the test has called; the stack begins with its caller
 */
export async function fromCall<T>(called: (...args: never[]) => unknown, task: () => T | Promise<T>): Promise<T> {
  const site: { stack?: unknown } = {}
  Error.captureStackTrace(site, called)
  try {
    return await task()
  } catch (error) {
    place(error, site.stack)
    throw error
  }
}

/** What was thrown by others has a stack that leads to its own cause. */
function place(error: unknown, stack: unknown): void {
  if (error instanceof WsTicketError || isMisuse(error)) error.stack = `${error.name}: ${error.message}${framesOf(stack)}`
}

function framesOf(stack: unknown): string {
  const [, ...frames] = String(stack).split(/(?=\n {4}at )/)
  return frames.join('')
}
