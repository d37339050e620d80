/** How the state of the connection looks. */

import { byId, countDown, show } from './elements.js'

const TEXTS = { connecting: 'Connecting…', open: 'Connected', closed: 'Disconnected' }

const pill = byId('state')
const text = byId('state-text')
const retry = byId('retry')
const session = byId('session')
const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })

let stopCounting = () => {}

export function showState({ state, reason, retryAt }) {
  stopCounting()
  pill.dataset.state = state
  retry.hidden = state !== 'waiting'
  if (state !== 'open') show(session, undefined)
  if (state === 'waiting') stopCounting = countDown(text, retryAt, (seconds) => `${reason} Trying again in ${seconds} s`)
  else show(text, TEXTS[state])
}

export function showSession({ expiresAt }) {
  show(session, `Session until ${time.format(new Date(expiresAt))}`)
}
