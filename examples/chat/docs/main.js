import { channelView } from './channel-view.js'
import { operationsOf } from './document.js'
import { code, element, table } from './element.js'

const byId = (id) => document.getElementById(id)

try {
  const response = await fetch('/asyncapi.json')
  if (!response.ok) throw new Error(`it was answered with ${response.status}`)
  show(await response.json())
} catch (error) {
  byId('state').textContent = `The document could not be shown: ${error.message}`
}

function show(api) {
  document.title = api.info.title
  byId('title').textContent = api.info.title
  byId('version').textContent = api.info.version
  byId('version').hidden = false
  const keys = Object.keys(api.channels)
  byId('content').append(
    ...[api.info.description && element('p', { class: 'lead' }, api.info.description), serversView(api)].filter(Boolean),
    ...keys.map((key) => channelView(api, key)),
    closeCodesView(api)
  )
  byId('contents').append(
    element('ul', {}, ...keys.map((key) => channelLinks(api, key)), element('li', {}, link('close-codes', 'Close codes')))
  )
  byId('state').remove()
  // what the address points to was not there when the page was loaded
  byId(location.hash.slice(1))?.scrollIntoView()
}

function channelLinks(api, key) {
  const links = operationsOf(api, key).map(({ key: id, message }) => element('li', {}, link(id, code(message.name))))
  return element('li', {}, link(key, code(api.channels[key].address)), element('ul', {}, ...links))
}

function link(id, text) {
  return element('a', { href: `#${id}` }, text)
}

function serversView({ servers }) {
  if (!servers) return undefined
  const rows = Object.entries(servers).map(([name, { protocol, host, pathname = '', description = '' }]) => {
    return [name, code(`${protocol}://${host}${pathname}`), description]
  })
  return table('Servers', ['Name', 'Address', 'What it is'], rows)
}

function closeCodesView({ 'x-close-codes': codes }) {
  const rows = codes.map(({ code: number, name }) => [code(String(number)), name])
  return element(
    'section',
    { id: 'close-codes', 'aria-labelledby': 'close-codes-title' },
    element('h2', { id: 'close-codes-title' }, 'Close codes'),
    table('What the server closes a connection with', ['Code', 'Name'], rows)
  )
}
