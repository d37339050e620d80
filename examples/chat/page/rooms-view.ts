/** How the list of rooms and the head of the one that is shown look. */

import { byId, element } from './elements.js'
import { toneOf } from './messages-view.js'
import type { Room, Rooms } from './rooms.js'

const list = byId('rooms', HTMLElement)
const title = byId('room-title', HTMLElement)
const members = byId('members', HTMLElement)

/** @param select is called with the name of the room that is chosen */
export function showRooms(rooms: Rooms, select: (name: string) => void): void {
  const focused = document.activeElement instanceof HTMLElement ? (document.activeElement.dataset.room ?? '') : ''
  list.replaceChildren(...rooms.all.map((room) => roomItem(room, room === rooms.current, select)))
  list.querySelector<HTMLElement>(`[data-room="${CSS.escape(focused)}"]`)?.focus()
  byId('room', HTMLElement).hidden = !rooms.current
  byId('no-room', HTMLElement).hidden = Boolean(rooms.current)
  if (rooms.current) showHead(rooms.current)
  showTitle(rooms)
}

function roomItem({ name, unread }: Room, isCurrent: boolean, select: (name: string) => void): HTMLElement {
  const button = element('button', { type: 'button', class: 'room', 'data-room': name }, element('span', { class: 'room-name' }, name))
  if (isCurrent) button.setAttribute('aria-current', 'true')
  if (unread > 0) {
    button.append(element('span', { class: 'unread' }, String(unread), element('span', { class: 'visually-hidden' }, ' unread')))
  }
  button.addEventListener('click', () => select(name))
  return element('li', {}, button)
}

function showHead(room: Room): void {
  title.textContent = room.name
  members.replaceChildren(
    ...room.members.map((name) => element('li', { class: 'member' }, element('span', { class: `dot ${toneOf(name)}` }), name))
  )
}

function showTitle({ all, current }: Rooms): void {
  const unread = all.reduce((sum, room) => sum + room.unread, 0)
  document.title = `${unread > 0 ? `(${unread}) ` : ''}${current ? `${current.name} – ` : ''}Chat`
}
