/** Brings it together: forms, rooms, connection. */

import { Api } from './api.js'
import { Connection } from './connection.js'
import { byId, countDown, show } from './elements.js'
import { showLastLine, showLines } from './messages-view.js'
import { Rooms } from './rooms.js'
import { showRooms } from './rooms-view.js'
import { showSession, showState } from './state-view.js'

const FIRST_ROOM = 'lobby'
const MAX_TEXT = 500
/** What a value that a schema refuses is told in words. */
const NAME_RULE = 'A name has letters and digits, with dots, underscores, hyphens and spaces between them.'
const ROOM_RULE = "A room's name has letters, digits, dots, underscores and hyphens."
const TEXT_RULE = `A message has 1 to ${MAX_TEXT} characters.`
const VALIDATION_CODES = new Set(['FST_ERR_VALIDATION', 'FST_WS_TICKET_INVALID_PAYLOAD'])
const MEMBERS_INTERVAL_MS = 15_000

const login = { view: byId('login'), form: byId('login-form'), error: byId('login-error') }
const join = { form: byId('join'), error: byId('join-error') }
const composer = { form: byId('composer'), error: byId('send-error'), button: byId('send'), count: byId('count') }

/** The chat of the user who is logged in. */
let chat

login.form.addEventListener('submit', async (event) => {
  event.preventDefault()
  show(login.error, undefined)
  const { name, expiresIn } = login.form.elements
  const user = { name: name.value.trim(), expiresIn: Number(expiresIn.value) }
  const api = new Api(user)
  try {
    await api.logIn()
    startChat(api, user.name)
  } catch (error) {
    show(login.error, describe(error, NAME_RULE))
    name.focus()
  }
})

function startChat(api, userName) {
  const connection = new Connection(api)
  const rooms = new Rooms(connection)
  let shown
  rooms.addEventListener('change', () => {
    showRooms(rooms, (name) => rooms.select(name))
    if (rooms.current && rooms.current !== shown) showLines(rooms.current, userName)
    shown = rooms.current
  })
  rooms.addEventListener('line', ({ detail: { room } }) => {
    if (room === shown) showLastLine(room, userName)
  })
  connection.addEventListener('session', ({ detail }) => showSession(detail))
  connection.addEventListener('state', ({ detail }) => {
    showState(detail)
    if (detail.state === 'open') void enterRooms(rooms)
    if (detail.state === 'closed') endChat(detail.reason)
  })
  const timer = setInterval(() => rooms.updateMembers().catch(() => {}), MEMBERS_INTERVAL_MS)
  chat = { api, connection, rooms, timer }
  byId('user').textContent = userName
  showRooms(rooms, () => {})
  login.view.hidden = true
  byId('chat').hidden = false
  void connection.open()
}

async function enterRooms(rooms) {
  try {
    if (rooms.current) return await rooms.joinAgain()
    await joinRoom(rooms, FIRST_ROOM)
    composer.form.elements.text.focus()
  } catch (error) {
    show(join.error, describe(error))
  }
}

async function joinRoom(rooms, name) {
  await rooms.join(name)
  rooms.select(name)
}

function endChat(reason) {
  clearInterval(chat.timer)
  chat = undefined
  composer.form.reset()
  showCount()
  for (const { error } of [join, composer]) show(error, undefined)
  byId('chat').hidden = true
  login.view.hidden = false
  show(login.error, reason)
  login.form.elements.name.focus()
}

byId('logout').addEventListener('click', async () => {
  const { api, connection } = chat
  // the server closes the connection with 4403, as it does all others of this user
  await api.logOut().catch(() => connection.close('Logged out here; the server could not be told.'))
})

byId('retry').addEventListener('click', () => chat.connection.retryNow())
addEventListener('online', () => chat?.connection.retryNow())

join.form.addEventListener('submit', async (event) => {
  event.preventDefault()
  show(join.error, undefined)
  const { room } = join.form.elements
  try {
    await joinRoom(chat.rooms, room.value.trim())
    join.form.reset()
    composer.form.elements.text.focus()
  } catch (error) {
    show(join.error, describe(error, ROOM_RULE))
    room.focus()
  }
})

byId('leave').addEventListener('click', async () => {
  const { rooms } = chat
  await rooms.leave(rooms.current.name).catch((error) => show(composer.error, describe(error)))
})

composer.form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const { text } = composer.form.elements
  if (composer.button.disabled || text.value.trim() === '') return
  show(composer.error, undefined)
  composer.button.disabled = true
  try {
    await chat.rooms.send(text.value)
    text.value = ''
    showCount()
    composer.button.disabled = false
  } catch (error) {
    showSendError(error)
  }
  text.focus()
})

composer.form.elements.text.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  composer.form.requestSubmit()
})

composer.form.elements.text.addEventListener('input', showCount)

function showSendError(error) {
  const allow = () => {
    composer.button.disabled = false
  }
  if (!error.retryAfterMs) {
    show(composer.error, describe(error, TEXT_RULE))
    return allow()
  }
  countDown(composer.error, Date.now() + error.retryAfterMs, (seconds) => `Too many messages. You can send again in ${seconds} s.`, allow)
}

/** Code points, as the server counts. */
function showCount() {
  const left = MAX_TEXT - [...composer.form.elements.text.value].length
  show(composer.count, left <= 100 ? `${left} left` : undefined)
  composer.count.classList.toggle('over', left < 0)
}

/** @param rule what to say when a schema refused the value */
function describe({ message, code, retryAfterMs }, rule) {
  if (rule && VALIDATION_CODES.has(code)) return rule
  return retryAfterMs > 0 ? `${message} (${Math.ceil(retryAfterMs / 1000)} s)` : message
}
