/** How the list of rooms and the head of the one that is shown look. */

import { byId, element } from './elements.js'
import { toneOf } from './messages-view.js'

const list = byId('rooms')
const title = byId('room-title')
const members = byId('members')

/** @param select is called with the name of the room that is chosen */
export function showRooms(rooms, select) {
  const focused = document.activeElement?.dataset?.room
  list.replaceChildren(...rooms.all.map((room) => roomItem(room, room === rooms.current, select)))
  list.querySelector(`[data-room="${CSS.escape(focused ?? '')}"]`)?.focus()
  byId('room').hidden = !rooms.current
  byId('no-room').hidden = Boolean(rooms.current)
  if (rooms.current) showHead(rooms.current)
}

function roomItem({ name, unread }, isCurrent, select) {
  const button = element('button', { type: 'button', class: 'room', 'data-room': name }, element('span', { class: 'room-name' }, name))
  if (isCurrent) button.setAttribute('aria-current', 'true')
  if (unread > 0)
    button.append(element('span', { class: 'unread' }, String(unread), element('span', { class: 'visually-hidden' }, ' unread')))
  button.addEventListener('click', () => select(name))
  return element('li', {}, button)
}

function showHead(room) {
  title.textContent = room.name
  members.replaceChildren(
    ...room.members.map((name) => element('li', { class: 'member' }, element('span', { class: `dot ${toneOf(name)}` }), name))
  )
}
