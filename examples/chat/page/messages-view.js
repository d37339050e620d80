/** How the lines of a room look. */

import { byId, element } from './elements.js'

const TONES = 6
const SAME_BREATH_MS = 120_000
/** So close to the end one counts as reading along. */
const NEAR_END_PX = 80

const log = byId('messages')
const empty = byId('no-messages')
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
export function showLines(room, userName) {
  // a change of room is not news, so it is not read out
  log.setAttribute('aria-live', 'off')
  log.replaceChildren()
  for (const [index, line] of room.lines.entries()) append(line, room.lines[index - 1], userName)
  empty.hidden = room.lines.length > 0
  scrollToEnd()
  requestAnimationFrame(() => log.setAttribute('aria-live', 'polite'))
}

/** Shows the last line of the room that is shown. */
export function showLastLine(room, userName) {
  const line = room.lines.at(-1)
  append(line, room.lines.at(-2), userName)
  while (log.childElementCount > room.lines.length) log.firstElementChild.remove()
  empty.hidden = true
  if (isAtEnd || line.from === userName) scrollToEnd()
}

/** The colour that stands for a name. */
export function toneOf(name) {
  let sum = 0
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 1_000_003
  return `tone-${sum % TONES}`
}

function append(line, previous, userName) {
  log.append(line.notice ? element('li', { class: 'notice' }, line.notice) : messageOf(line, previous, userName))
}

function messageOf(line, previous, userName) {
  const isOwn = line.from === userName
  const isContinued = previous?.from === line.from && new Date(line.at) - new Date(previous.at) < SAME_BREATH_MS
  const classes = ['message', isOwn && 'own', isContinued && 'continued'].filter(Boolean).join(' ')
  return element(
    'li',
    { class: classes },
    element('span', { class: `avatar ${toneOf(line.from)}`, 'aria-hidden': 'true' }, initialOf(line.from)),
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

function initialOf(name) {
  return [...name][0].toUpperCase()
}

function scrollToEnd() {
  log.scrollTop = log.scrollHeight
}
