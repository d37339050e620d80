import { resolve } from './document.js'
import { code, element } from './element.js'

/** Shows a schema as what it is in a few words, and its properties as a list within. */
export function schemaView(document, schema, trail = []) {
  const ref = schema.$ref
  if (trail.includes(ref)) return element('span', {}, ' the same again: ', code(nameOf(ref)))
  const node = resolve(document, schema)
  if (typeof node !== 'object') return element('span', {}, node ? 'anything' : 'nothing')
  const below = ref === undefined ? trail : [...trail, ref]
  const parts = [element('span', { class: 'type' }, wordsOf(node)), description(node), ...innerViews(document, node, below)]
  return element('div', { class: 'schema' }, ...parts)
}

function innerViews(document, node, trail) {
  return [
    node.properties && propertiesView(document, node, trail),
    isSchema(node.items) && element('div', { class: 'inner' }, 'each: ', schemaView(document, node.items, trail)),
    ...Object.entries(JOINERS).map(
      ([keyword, label]) => Array.isArray(node[keyword]) && alternatives(document, label, node[keyword], trail)
    )
  ].map((view) => view || undefined)
}

const JOINERS = { allOf: 'all of', anyOf: 'any of', oneOf: 'one of', items: 'one after the other', prefixItems: 'one after the other' }

function isSchema(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function alternatives(document, label, schemas, trail) {
  const items = schemas.map((schema) => element('li', {}, schemaView(document, schema, trail)))
  return element('div', { class: 'inner' }, `${label}:`, element('ul', {}, ...items))
}

function propertiesView(document, { properties, required = [] }, trail) {
  const lines = Object.entries(properties).flatMap(([name, schema]) => [
    element('dt', {}, code(name), required.includes(name) ? element('span', { class: 'required' }, 'required') : undefined),
    element('dd', {}, schemaView(document, schema, trail))
  ])
  return lines.length > 0 ? element('dl', { class: 'properties' }, ...lines) : undefined
}

function description(node) {
  return node.description === undefined ? undefined : element('span', { class: 'description' }, node.description)
}

const BOUNDS = [
  ['minLength', 'maxLength', ' characters'],
  ['minimum', 'maximum', ''],
  ['minItems', 'maxItems', ' items']
]

function rangeWords(least, most, unit) {
  if (least === undefined) return most === undefined ? undefined : `at most ${most}${unit}`
  return most === undefined ? `at least ${least}${unit}` : `${least} to ${most}${unit}`
}

function wordsOf(node) {
  if ('const' in node) return JSON.stringify(node.const)
  if (node.enum) return node.enum.map((value) => JSON.stringify(value)).join(' or ')
  const type = [node.type ?? ''].flat().join(' or ')
  const ranges = BOUNDS.map(([least, most, unit]) => rangeWords(node[least], node[most], unit))
  const forms = [node.format, node.pattern && `matching ${node.pattern}`]
  return [type === 'object' && isEmpty(node) ? 'empty object' : type, ...ranges, ...forms].filter(Boolean).join(', ')
}

function isEmpty({ properties, additionalProperties }) {
  return additionalProperties === false && Object.keys(properties ?? {}).length === 0
}

function nameOf(ref) {
  return ref.split('/').at(-1)
}
