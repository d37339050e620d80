/** Brings it together: log-in, rooms, connection. */
import type { WsTicketError } from 'fastify-ws-ticket/client'
import { type ChatClient, connectChat } from './chat-client.js'
import { focusComposer, resetComposer, sayAtComposer, startComposer } from './composer.js'
import { byId } from './elements.js'
import { showLastLine, showLines } from './messages-view.js'
import { Notice } from './notice.js'
import { type Room, Rooms } from './rooms.js'
import { showRooms } from './rooms-view.js'
import { Session } from './session.js'
import { showSession, showState } from './state-view.js'
import { isInvalid, wordsFor } from './words.js'

const FIRST_ROOM = 'lobby'
const MEMBERS_INTERVAL_MS = 15_000
/** What a value that a schema refuses is told in words. */
const NAME_RULE = 'A name has letters and digits, with dots, underscores, hyphens and spaces between them.'
const ROOM_RULE = "A room's name has letters, digits, dots, underscores and hyphens."

const name = byId('name', HTMLInputElement)
const life = byId('life', HTMLSelectElement)
const joinForm = byId('join', HTMLFormElement)
const joinRoom = byId('join-room', HTMLInputElement)
const loginNotice = new Notice('login-error', 'name')
const joinNotice = new Notice('join-error', 'join-room')

/** The chat of the user who is logged in. */
interface Chat {
  readonly session: Session
  readonly client: ChatClient
  readonly rooms: Rooms
  readonly timer: ReturnType<typeof setInterval>
}

let chat: Chat | undefined

byId('login-form', HTMLFormElement).addEventListener('submit', async (event) => {
  event.preventDefault()
  loginNotice.clear()
  const userName = name.value.trim()
  const session = new Session(
    { name: userName, expiresIn: Number(life.value), isRenewed: life.selectedOptions[0]?.dataset.ends === undefined },
    showSession
  )
  try {
    await session.logIn()
    chat = startChat(session, userName)
  } catch (error) {
    loginNotice.say(isInvalid(error) ? NAME_RULE : wordsFor(error), isInvalid(error))
    name.focus()
  }
})

function startChat(session: Session, userName: string): Chat {
  let shown: Room | undefined
  const client = connectChat(session, () => enterRooms(rooms))
  const rooms = new Rooms(client, {
    changed() {
      showRooms(rooms, (name) => rooms.select(name))
      if (rooms.current && rooms.current !== shown) showLines(rooms.current, userName)
      shown = rooms.current
    },
    line(room) {
      if (room === shown) showLastLine(room, userName)
    }
  })
  client.onStatus((status, reason) => {
    showState(status, reason)
    if (status === 'closed') endChat(reason)
  })
  showState(client.status)
  showRooms(rooms, () => {})
  byId('user', HTMLElement).textContent = userName
  showChat(true)
  return { session, client, rooms, timer: setInterval(() => rooms.updateMembers().catch(() => {}), MEMBERS_INTERVAL_MS) }
}

/** At first into the lobby; after a loss into those where the user was. */
async function enterRooms(rooms: Rooms): Promise<void> {
  if (rooms.current) return await rooms.joinAgain()
  await enterRoom(rooms, FIRST_ROOM)
}

async function enterRoom(rooms: Rooms, name: string): Promise<void> {
  await rooms.join(name)
  rooms.select(name)
  focusComposer()
}

function endChat(reason: WsTicketError | undefined): void {
  clearInterval(chat?.timer)
  chat = undefined
  resetComposer()
  joinNotice.clear()
  joinForm.reset()
  showChat(false)
  if (reason) loginNotice.inform(wordsFor(reason))
  name.focus()
}

function showChat(isShown: boolean): void {
  byId('chat', HTMLElement).hidden = !isShown
  byId('login', HTMLElement).hidden = isShown
  if (!isShown) document.title = 'Chat'
}

byId('logout', HTMLElement).addEventListener('click', async () => {
  // the server closes the connection with 4403, as it does all others of this user
  await chat?.session.logOut().catch(() => chat?.client.close())
})

byId('retry', HTMLElement).addEventListener('click', () => chat?.client.retry())

joinForm.addEventListener('submit', async (event) => {
  event.preventDefault()
  joinNotice.clear()
  if (!chat) return
  try {
    await enterRoom(chat.rooms, joinRoom.value.trim())
    joinForm.reset()
  } catch (error) {
    joinNotice.say(isInvalid(error) ? ROOM_RULE : wordsFor(error), isInvalid(error))
    joinRoom.focus()
  }
})

byId('leave', HTMLElement).addEventListener('click', async () => {
  const { rooms } = chat ?? {}
  if (rooms?.current) await rooms.leave(rooms.current.name).catch(sayAtComposer)
})

startComposer({
  say: async (text) => await chat?.rooms.say(text),
  isConnected: () => chat?.client.status === 'open'
})
