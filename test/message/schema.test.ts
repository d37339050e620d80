import t from 'tap'
import Type, { type TSchema } from 'typebox'
import { compileSchema, strict } from '../../src/message/schema.js'

interface Case {
  readonly name: string
  readonly schema: TSchema
  readonly accepted: unknown[]
  readonly refused: unknown[]
}

const A = Type.Object({ a: Type.String() })
const B = Type.Object({ b: Type.Number() })
const C = Type.Object({ c: Type.Number() })

const cases: Case[] = [
  { name: 'an object', schema: A, accepted: [{ a: 'x' }], refused: [{}, { a: 'x', z: 1 }, { a: 'x', __proto__x: 1 }, [], null, 'x'] },
  {
    name: 'a nested object',
    schema: Type.Object({ in: Type.Object({ list: Type.Array(A) }) }),
    accepted: [{ in: { list: [] } }, { in: { list: [{ a: 'x' }] } }],
    refused: [{ in: { list: [], z: 1 } }, { in: { list: [{ a: 'x', z: 1 }] } }]
  },
  {
    name: 'an intersection',
    schema: Type.Intersect([A, B]),
    accepted: [{ a: 'x', b: 1 }],
    refused: [{ a: 'x' }, { a: 'x', b: 1, z: 1 }]
  },
  {
    name: 'an intersection of an intersection',
    schema: Type.Intersect([A, Type.Intersect([B, C])]),
    accepted: [{ a: 'x', b: 1, c: 1 }],
    refused: [{ a: 'x', b: 1, c: 1, z: 1 }]
  },
  {
    name: 'an object inside an intersection',
    schema: Type.Intersect([Type.Object({ in: A }), B]),
    accepted: [{ in: { a: 'x' }, b: 1 }],
    refused: [{ in: { a: 'x', z: 1 }, b: 1 }]
  },
  {
    name: 'a union',
    schema: Type.Union([A, B]),
    accepted: [{ a: 'x' }, { b: 1 }],
    refused: [{ a: 'x', b: 1 }, { a: 'x', z: 1 }, {}]
  },
  {
    name: 'a union inside an intersection',
    schema: Type.Intersect([A, Type.Union([B, C])]),
    accepted: [
      { a: 'x', b: 1 },
      { a: 'x', c: 1 }
    ],
    refused: [{ a: 'x' }, { a: 'x', b: 1, z: 1 }]
  },
  {
    name: 'alternatives beside properties',
    schema: Type.Unsafe({ type: 'object', properties: { a: { type: 'string' } }, required: ['a'], anyOf: [B, C] }),
    accepted: [
      { a: 'x', b: 1 },
      { a: 'x', c: 1 }
    ],
    refused: [{ a: 'x' }, { a: 'x', b: 1, z: 1 }]
  },
  {
    name: 'a condition',
    schema: Type.Unsafe({
      type: 'object',
      properties: { kind: { type: 'string' }, a: {}, b: {} },
      if: { properties: { kind: { const: 'a' } } },
      // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
      then: { properties: { a: { type: 'string' } } },
      else: { properties: { b: { type: 'number' } } }
    }),
    accepted: [
      { kind: 'a', a: 'x' },
      { kind: 'b', b: 1 }
    ],
    refused: [
      { kind: 'a', a: 1 },
      { kind: 'b', b: 'x' },
      { kind: 'b', b: 1, z: 1 }
    ]
  },
  {
    name: 'a record',
    schema: Type.Record(Type.String(), A),
    accepted: [{}, { any: { a: 'x' } }],
    refused: [{ any: { a: 'x', z: 1 } }, { any: 1 }]
  },
  {
    name: 'a record of certain keys',
    schema: Type.Record(Type.String({ pattern: '^k[0-9]$' }), Type.Number()),
    accepted: [{ k1: 1 }],
    refused: [{ z: 1 }, { k1: 1, z: 1 }]
  },
  {
    name: 'a cyclic schema',
    schema: Type.Cyclic({ Node: Type.Object({ value: Type.String(), next: Type.Optional(Type.Ref('Node')) }) }, 'Node'),
    accepted: [{ value: 'x' }, { value: 'x', next: { value: 'y', next: { value: 'z' } } }],
    refused: [
      { value: 'x', z: 1 },
      { value: 'x', next: { value: 'y', z: 1 } }
    ]
  },
  { name: 'a tuple', schema: Type.Tuple([A]), accepted: [[{ a: 'x' }]], refused: [[], [{ a: 'x', z: 1 }], [{ a: 'x' }, 1]] },
  { name: 'optional properties', schema: Type.Partial(A), accepted: [{}, { a: 'x' }], refused: [{ z: 1 }] },
  {
    name: 'a schema that says object or null',
    schema: Type.Unsafe({ type: ['object', 'null'], properties: { a: { type: 'string' } } }),
    accepted: [null, { a: 'x' }],
    refused: [{ z: 1 }, 'x']
  },
  {
    name: 'a schema of properties without a type',
    schema: Type.Unsafe({ properties: { a: { type: 'string' } } }),
    accepted: [{ a: 'x' }],
    refused: [{ a: 'x', z: 1 }]
  },
  {
    name: 'a property whose schema is true or false',
    schema: Type.Unsafe({ type: 'object', properties: { a: true, b: false } }),
    accepted: [{ a: 1 }, {}],
    refused: [{ b: 1 }, { z: 1 }]
  },
  {
    name: 'a refined object',
    schema: Type.Refine(B, ({ b }) => b > 1),
    accepted: [{ b: 2 }],
    refused: [{ b: 1 }, { b: 2, z: 1 }]
  },
  {
    name: 'an object that is open by its own word',
    schema: Type.Object({ a: Type.String() }, { additionalProperties: true }),
    accepted: [{ a: 'x', z: 1 }],
    refused: [{ z: 1 }]
  },
  {
    name: 'an object whose other properties have a schema',
    schema: Type.Object({ a: Type.String() }, { additionalProperties: B }),
    accepted: [{ a: 'x', z: { b: 1 } }],
    refused: [
      { a: 'x', z: 1 },
      { a: 'x', z: { b: 1, y: 1 } }
    ]
  },
  {
    name: 'an intersection that is open by its own word',
    schema: Type.Intersect([A, B], { unevaluatedProperties: true }),
    accepted: [{ a: 'x', b: 1, z: 1 }],
    refused: [{ a: 'x', z: 1 }]
  },
  { name: 'a schema of anything', schema: Type.Unknown(), accepted: [null, 1, { z: { y: 1 } }], refused: [] },
  { name: 'numbers', schema: Type.Object({ n: Type.Number() }), accepted: [{ n: 1.5 }], refused: [{ n: '1' }, { n: null }, { n: true }] },
  { name: 'texts', schema: Type.String(), accepted: ['1'], refused: [1, null, true] },
  { name: 'truth values', schema: Type.Boolean(), accepted: [true], refused: ['true', 1, 0] },
  { name: 'numbers that are none', schema: Type.Number(), accepted: [0], refused: [JSON.parse('1e400'), Number.NaN] }
]

for (const { name, schema, accepted, refused } of cases) {
  t.test(`G5 G6 ${name}: nothing is stripped, coerced or let through`, async (t) => {
    const validator = compileSchema(schema)
    for (const value of accepted) {
      const before = structuredClone(value)
      t.equal(validator.check(value), true, `accepts ${JSON.stringify(value)}`)
      t.same(value, before)
    }
    for (const value of refused) {
      const before = structuredClone(value)
      t.equal(validator.check(value), false, `refuses ${JSON.stringify(value)}`)
      t.ok(validator.issues(value).length > 0, 'and says why')
      t.same(value, before)
    }
  })
}

t.test('G3 an own key __proto__ is refused like every extra property', async (t) => {
  const value: unknown = JSON.parse('{"a":"x","__proto__":{"polluted":1}}')
  t.equal(compileSchema(A).check(value), false)
})

t.test('objections name the place by a JSON Pointer and are at most eight', async (t) => {
  const validator = compileSchema(Type.Object({ list: Type.Array(Type.Number()) }))
  t.match(validator.issues({ list: [1, 'x'] }), [{ path: '/list/1', message: 'must be number' }])
  t.equal(validator.issues({ list: Array(100).fill('x') }).length, 8)
  t.same(validator.issues({ list: [] }), [])
})

t.test('the schema that is given stays as it was', async (t) => {
  const schema = Type.Object({ in: Type.Intersect([A, B]) })
  const before = structuredClone(schema)
  strict(schema)
  t.same(schema, before)
})

t.test('G7 a schema with a catastrophic pattern is not compiled', async (t) => {
  t.throws(() => compileSchema(Type.Object({ a: Type.String({ pattern: '^(a+)+$' }) })), { message: /more than linear time/ })
})

t.test('G7 duplicate items are told without looking for which they are', async (t) => {
  const list = Type.Array(Type.Integer(), { uniqueItems: true })
  const validator = compileSchema(Type.Object({ list, uniqueItems: Type.Optional(Type.String()) }))
  t.notOk(validator.check({ list: [1, 1] }))
  t.same(validator.issues({ list: [1, 1] }), [{ path: '', message: 'must not have duplicate items' }])
  t.same(validator.issues({ list: [1, 1, 'x'] }), [{ path: '/list/2', message: 'must be integer' }], 'what else is wrong is told first')
  t.match(validator.issues({ list: [], uniqueItems: 1 }), [{ path: '/uniqueItems' }])
  t.match(list, { uniqueItems: true }, "the app's own schema is left as it is")
})
