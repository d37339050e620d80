import { clientError, type WsTicketError } from './error.js'

/** Events that nobody has read yet, of one iteration. */
const MAX_UNREAD = 1000

/** What an iteration listens to: each event, and the end, with the error where there is one. Answers what takes it off. */
export type Source<T> = (push: (value: T) => void, end: (error?: WsTicketError) => void) => () => void

/** Events in order for `for await`, from now on, kept until they are read. */
export function streamEvents<T>(source: Source<T>): AsyncGenerator<T, void, undefined> {
  const unread: T[] = []
  let wake = () => {}
  let isEnded = false
  let failure: WsTicketError | undefined

  const end = (error?: WsTicketError) => {
    undo()
    isEnded = true
    failure = error
    wake()
  }
  const undo = source((value) => {
    if (unread.length >= MAX_UNREAD) return end(clientError('QUEUE_FULL', `${MAX_UNREAD} events wait already.`))
    unread.push(value)
    wake()
  }, end)

  async function* read() {
    try {
      for (;;) {
        yield* unread.splice(0)
        if (unread.length > 0) continue
        if (failure) throw failure
        if (isEnded) return
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    } finally {
      undo()
    }
  }
  return read()
}
