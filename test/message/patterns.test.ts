import t from 'tap'
import Type from 'typebox'
import { checkPatterns } from '../../src/message/patterns.js'

const BAD = '^(a+)+$'

t.test('G7 a pattern that can take exponential time is refused wherever it stands', async (t) => {
  const schemas: [string, object][] = [
    ['a string', Type.String({ pattern: BAD })],
    ['a regular expression', { type: 'string', pattern: /^(a+)+$/ }],
    ['a property', Type.Object({ a: Type.String({ pattern: BAD }) })],
    ['a property named as a keyword', Type.Object({ default: Type.String({ pattern: BAD }) })],
    ['an optional property', Type.Object({ a: Type.Optional(Type.String({ pattern: BAD })) })],
    ['items', Type.Array(Type.String({ pattern: BAD }))],
    ['a tuple', Type.Tuple([Type.Number(), Type.String({ pattern: BAD })])],
    ['a union', Type.Union([Type.Number(), Type.String({ pattern: BAD })])],
    ['an intersection', Type.Intersect([Type.Object({}), Type.Object({ a: Type.String({ pattern: BAD }) })])],
    ['the keys of a record', Type.Record(Type.String({ pattern: BAD }), Type.Number())],
    ['the values of a record', Type.Record(Type.String(), Type.String({ pattern: BAD }))],
    ['a definition', Type.Cyclic({ A: Type.Object({ a: Type.String({ pattern: BAD }) }) }, 'A')],
    ['a negation', { not: { pattern: BAD } }],
    ['names of properties', { type: 'object', propertyNames: { pattern: BAD } }],
    // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
    ['a condition', { if: { pattern: BAD }, then: {} }],
    ['a dependent schema', { dependentSchemas: { a: { pattern: BAD } } }]
  ]
  for (const [where, schema] of schemas) t.throws(() => checkPatterns(schema), { message: /\(a\+\)\+.*exponential time/ }, where)
})

t.test('G7 harmless patterns, and data that looks like a pattern, are accepted', async (t) => {
  const schemas: [string, object][] = [
    ['a set', Type.String({ pattern: '^[a-z0-9-]+$' })],
    ['a regular expression', { type: 'string', pattern: /^\d{4}-\d{2}-\d{2}$/ }],
    ['a property named pattern', Type.Object({ pattern: Type.String() })],
    ['data', { const: { pattern: BAD }, enum: [{ pattern: BAD }], default: { pattern: BAD }, examples: [{ pattern: BAD }] }],
    ['a pattern that is none', { pattern: 7 }]
  ]
  for (const [what, schema] of schemas) t.doesNotThrow(() => checkPatterns(schema), what)
})
