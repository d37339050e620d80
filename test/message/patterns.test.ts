import t from 'tap'
import Type from 'typebox'
import { checkPatterns } from '../../src/message/patterns.js'

const BAD = '^(a+)+$'

t.test('G7 a pattern that can take more than linear time is refused wherever it stands', async (t) => {
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
  for (const [where, schema] of schemas) t.throws(() => checkPatterns(schema), { message: /\(a\+\)\+.*more than linear time/ }, where)
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

t.test('G7 overlapping repetitions are refused, however they are spelled', async (t) => {
  const patterns = [
    '^(a|aa)+$',
    '^(a|a)*b$',
    '^(\\w|\\d)+$',
    '^(\\w+\\s?)*$',
    '^(?:a?){30}a{30}$',
    '^(a{1,30}){1,30}$',
    '^a*a*b$',
    '^.*foo.*bar.*baz$',
    '[a-z]+x',
    '\\s+$',
    '(.)\\1+$',
    '^(?=(a+)+$)x',
    '^(?<word>a+)+$',
    '^(?<!x)(a+)+$',
    '^(?:(?!.*!).)*$',
    '(?=.*!)y',
    'a(?=b)',
    '(?<=a[^b]*)c',
    '^(?=.*a)(?=.*b)'
  ]
  for (const pattern of patterns) t.throws(() => checkPatterns({ pattern }), { message: /more than linear time/ }, pattern)
  t.throws(() => checkPatterns({ pattern: /^(?:a|A)+$/i }), { message: /more than linear time/ }, 'what a flag makes overlap')
  t.throws(
    () => checkPatterns({ pattern: '^(?<a>b)\\k<a>$' }),
    { message: /more than linear time/ },
    'what can not be read is not let through'
  )
})

t.test('G7 patterns that APIs use, and those that TypeBox writes, are accepted', async (t) => {
  const patterns = [
    '^[a-z0-9]+(?:-[a-z0-9]+)*$',
    '^[^\\s@]+@[^\\s@]+$',
    '^\\+?[1-9]\\d{1,14}$',
    '^(?:[01]\\d|2[0-3]):[0-5]\\d$',
    '^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$',
    '^(room|user):[\\w-]{1,40}$',
    '^v?\\d+\\.\\d+\\.\\d+(?:-[0-9A-Za-z.-]+)?$',
    '^[\\p{L}\\p{N} ]+$',
    '^(?<year>\\d{4})-(?<month>\\d{2})$',
    '^[(?<a>]+\\(?<$',
    '^(?!.*!)[a-z]+$',
    '^[(?=]\\(?=$',
    '\\S'
  ]
  for (const pattern of patterns) t.doesNotThrow(() => checkPatterns({ pattern }), pattern)
  const schemas: [string, object][] = [
    ['a record', Type.Record(Type.String(), Type.Number())],
    ['a record with numbers for keys', Type.Record(Type.Number(), Type.Number())],
    ['a record with integers for keys', Type.Record(Type.Integer(), Type.Number())],
    ['a template', Type.TemplateLiteral([Type.Literal('room:'), Type.String()])],
    ['a template with a number', Type.TemplateLiteral([Type.Literal('v'), Type.Number()])]
  ]
  for (const [what, schema] of schemas) t.doesNotThrow(() => checkPatterns(schema), what)
})
