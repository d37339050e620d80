import { operationsOf, schemaOf } from './document.js'
import { code, element, table } from './element.js'
import { sampleOf } from './sample.js'
import { schemaView } from './schema-view.js'

const GROUPS = [
  ['receive', false, 'Messages to the server'],
  ['send', false, 'Events from the server'],
  ['receive', true, 'The protocol: to the server'],
  ['send', true, 'The protocol: from the server']
]

/** One channel: how it is opened, what holds for it, and all that is said in it. */
export function channelView(document, key) {
  const channel = document.channels[key]
  const operations = operationsOf(document, key)
  const groups = GROUPS.map(([action, isControl, title]) => {
    return [title, operations.filter(({ action: own, message }) => own === action && message.name.startsWith('$') === isControl)]
  }).filter(([, found]) => found.length > 0)
  return element(
    'section',
    { id: key, 'aria-labelledby': `${key}-title` },
    element('h2', { id: `${key}-title` }, 'WebSocket ', code(channel.address)),
    element('p', {}, channel.description),
    ticketView(channel),
    parametersView(channel),
    limitsView(channel),
    ...groups.flatMap(([title, found]) => [element('h3', {}, title), ...found.map((operation) => operationView(document, operation))])
  )
}

function ticketView({ 'x-ticket': { method, path, openapi }, externalDocs }) {
  const link = externalDocs ?? (openapi && { url: openapi, description: 'The ticket route in OpenAPI' })
  return element(
    'ol',
    { class: 'steps' },
    element('li', {}, code(`${method} ${path}`), ' with your token', link && [': ', element('a', { href: link.url }, link.description)]),
    element('li', {}, 'Open the WebSocket with the ', code('protocols'), ' that it answers, within seconds. They are good once.')
  )
}

function parametersView({ parameters }) {
  if (!parameters) return undefined
  const rows = Object.entries(parameters).map(([name, { description = '', enum: values }]) => [
    code(name),
    [description, ' ', values?.join(', ')]
  ])
  return table('Parameters', ['Name', 'What it is'], rows)
}

function limitsView({ 'x-limits': limits }) {
  const rows = Object.entries(limits).map(([name, value]) => [code(name), typeof value === 'object' ? rateWords(value) : String(value)])
  const shown = table('Limits of a connection; times in milliseconds, sizes in bytes', ['Limit', 'Value'], rows)
  return element('details', {}, element('summary', {}, 'Limits'), shown)
}

function rateWords({ max, timeWindow, burst, per }) {
  return `${max} in ${timeWindow / 1000} s, ${burst} at once, per ${per}`
}

/** One message: what it looks like, what it may hold, and what answers it. */
function operationView(document, { key, message, answers, 'x-rate-limit': rate }) {
  const name = `${key}-name`
  return element(
    'article',
    { id: key, 'aria-labelledby': name },
    element('h4', { id: name }, code(message.name), rate && element('span', { class: 'badge' }, rateWords(rate))),
    message.summary && element('p', {}, message.summary),
    frameView(document, message),
    ...answers.filter(({ 'x-errors': errors }) => !errors).map((answer) => answerView(document, answer)),
    message['x-errors'] && errorsView(message['x-errors'])
  )
}

function answerView(document, answer) {
  return element('div', { class: 'answer' }, element('h5', {}, 'Answer, or an error'), frameView(document, answer))
}

function frameView(document, { payload }) {
  const schema = schemaOf(payload)
  const sample = JSON.stringify(sampleOf(document, schema), null, 2)
  return element(
    'div',
    { class: 'frame' },
    element('pre', { tabindex: '0', 'aria-label': 'Example' }, code(sample)),
    schemaView(document, schema.properties.payload)
  )
}

function errorsView(errors) {
  const rows = errors.map(({ code: name, statusCode, message }) => [code(name), String(statusCode), message])
  return table('Errors', ['Code', 'Status', 'Meaning'], rows)
}
