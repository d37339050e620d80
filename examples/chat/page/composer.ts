/** Where a message is written and sent. */
import { byId, show } from './elements.js'
import { Notice } from './notice.js'
import { isInvalid, retryAfterOf, wordsFor } from './words.js'

const MAX_TEXT = 500
const COUNT_FROM = 100
const RULE = `A message has 1 to ${MAX_TEXT} characters.`

const form = byId('composer', HTMLFormElement)
const text = byId('text', HTMLTextAreaElement)
const button = byId('send', HTMLButtonElement)
const count = byId('count', HTMLElement)
const notice = new Notice('send-error', 'text')

export interface ComposerEvents {
  /** Resolves when the message has arrived. */
  say(text: string): Promise<void>
  /** Is there a connection, or does a message wait for one? */
  isConnected(): boolean
}

/** Lets the user write, one message at a time. Called once. */
export function startComposer(events: ComposerEvents): void {
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    if (!isBusy() && text.value.trim() !== '') void send(events)
  })
  text.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
    event.preventDefault()
    form.requestSubmit()
  })
  text.addEventListener('input', showCount)
}

export function focusComposer(): void {
  text.focus()
}

/** As it was at first. */
export function resetComposer(): void {
  form.reset()
  notice.clear()
  setBusy(false)
  showCount()
}

export function sayAtComposer(error: unknown): void {
  notice.say(wordsFor(error))
}

async function send({ say, isConnected }: ComposerEvents): Promise<void> {
  notice.clear()
  setBusy(true)
  if (!isConnected()) notice.inform('It is sent as soon as the connection is back.')
  const said = text.value
  try {
    await say(said)
    // what was written meanwhile stays
    if (text.value === said) resetComposer()
    else setBusy(false)
  } catch (error) {
    refused(error)
  }
  text.focus()
}

/** What was written stays, to be corrected or sent again. */
function refused(error: unknown): void {
  const ms = retryAfterOf(error)
  if (ms > 0) return notice.countDown('Too many messages. You can send again in ', ms, () => setBusy(false))
  setBusy(false)
  notice.say(isInvalid(error) ? RULE : wordsFor(error), isInvalid(error))
}

// not `disabled`, which would take the focus away from the button
function setBusy(isBusy: boolean): void {
  button.setAttribute('aria-disabled', String(isBusy))
}

function isBusy(): boolean {
  return button.getAttribute('aria-disabled') === 'true'
}

/** Code points, as the server counts. */
function showCount(): void {
  const left = MAX_TEXT - [...text.value].length
  show(count, left < 0 ? `${-left} too many` : left <= COUNT_FROM ? `${left} left` : '')
  count.classList.toggle('over', left < 0)
}
