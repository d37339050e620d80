/** How the lines of a room look. */

import { byId, element } from './elements.js'
import type { Line, Room } from './rooms.js'

type Message = Exclude<Line, { notice: string }>

const TONES = 6
const SAME_BREATH_MS = 120_000
/** So close to the end one counts as reading along. */
const NEAR_END_PX = 80

const log = byId('messages', HTMLElement)
const empty = byId('no-messages', HTMLElement)
const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })

/** Is the last line in sight? Then it stays so, whatever the size of the log. */
let isAtEnd = true

log.addEventListener('scroll', () => {
  isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END_PX
})
new ResizeObserver(() => {
  if (isAtEnd) scrollToEnd()
}).observe(log)

/** Shows a room from the start. */
export function showLines(room: Room, userName: string): void {
  // a change of room is not news, so it is not read out
  log.setAttribute('aria-live', 'off')
  log.replaceChildren(...room.lines.map((line, index) => itemOf(line, room.lines[index - 1], userName)))
  empty.hidden = room.lines.length > 0
  scrollToEnd()
  requestAnimationFrame(() => log.setAttribute('aria-live', 'polite'))
}

/** Shows the last line of the room that is shown. */
export function showLastLine({ lines }: Room, userName: string): void {
  const line = lines.at(-1)
  if (!line) return
  log.append(itemOf(line, lines.at(-2), userName))
  while (log.childElementCount > lines.length) log.firstElementChild?.remove()
  empty.hidden = true
  if (isAtEnd || authorOf(line) === userName) scrollToEnd()
}

/** The colour that stands for a name. */
export function toneOf(name: string): string {
  const sum = [...name].reduce((sum, character) => (sum * 31 + (character.codePointAt(0) ?? 0)) % 1_000_003, 0)
  return `tone-${sum % TONES}`
}

function itemOf(line: Line, previous: Line | undefined, userName: string): HTMLElement {
  return 'notice' in line ? element('li', { class: 'notice' }, line.notice) : messageItem(line, previous, userName)
}

function messageItem(line: Message, previous: Line | undefined, userName: string): HTMLElement {
  const isOwn = line.from === userName
  const classes = ['message', isOwn && 'own', isContinued(line, previous) && 'continued'].filter(Boolean).join(' ')
  return element(
    'li',
    { class: classes },
    element('span', { class: `avatar ${toneOf(line.from)}`, 'aria-hidden': 'true' }, line.from.slice(0, 1).toUpperCase()),
    element(
      'div',
      { class: 'body' },
      element(
        'p',
        { class: 'byline' },
        element('span', { class: 'author' }, isOwn ? 'You' : line.from),
        element('time', { datetime: line.at }, time.format(new Date(line.at)))
      ),
      element('p', { class: 'text' }, line.text)
    )
  )
}

/** Goes it on with what the same person said a moment ago? */
function isContinued(line: Message, previous: Line | undefined): boolean {
  if (!previous || 'notice' in previous || previous.from !== line.from) return false
  return Date.parse(line.at) - Date.parse(previous.at) < SAME_BREATH_MS
}

function authorOf(line: Line): string | undefined {
  return 'notice' in line ? undefined : line.from
}

function scrollToEnd(): void {
  log.scrollTop = log.scrollHeight
}
