import Type from 'typebox'
import { attack } from '../fixtures/attack.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { openRaw } from '../fixtures/frames.js'
import { declareSchemas, findSlow, hostileTexts } from '../fixtures/hostile-texts.js'

const path = '/hostile'
/** The event loop is kept all the time, on a machine that is busy as well. */
const unhurried = { ...manyRequests, pingInterval: '1 hour' }

const FORMATS = [
  'date-time',
  'date',
  'duration',
  'email',
  'hostname',
  'idn-email',
  'idn-hostname',
  'ipv4',
  'ipv6',
  'iri-reference',
  'iri',
  'json-pointer-uri-fragment',
  'json-pointer',
  'regex',
  'relative-json-pointer',
  'time',
  'uri-reference',
  'uri-template',
  'uri',
  'url',
  'uuid'
]

const formats = Object.fromEntries(FORMATS.map((format) => [format, Type.String({ format })]))
attack(
  "G7 TypeBox's formats take less than 50 ms of the event loop, whatever the text of 64 KiB",
  { plugin: unhurried, declare: (app) => declareSchemas(app, formats) },
  async (t, { app }) => {
    const raw = await openRaw(t, app, { path })
    for (const [name, schema] of Object.entries(formats)) t.equal(await findSlow(raw, name, schema, hostileTexts), undefined, name)
  }
)

/** An array of so many bytes of JSON. */
function arrayOf(bytes: number, item: (i: number) => unknown): unknown[] {
  const items: unknown[] = []
  for (let left = bytes - 20; left > 0; left -= JSON.stringify(items.at(-1)).length + 1) items.push(item(items.length))
  return items
}

function listsOf(bytes: number): unknown[] {
  const items: ((i: number) => unknown)[] = [
    () => 1,
    () => ({}),
    () => [],
    () => null,
    () => '',
    (i) => i,
    (i) => ({ a: i }),
    (i) => ({ [i]: [] }),
    (i) => (i % 2 === 0 ? [[[[[]]]]] : { a: { a: {} } })
  ]
  const keys = Object.fromEntries(arrayOf(bytes / 2, (i) => i).map((i) => [String(i), 1]))
  return [...items.map((item) => arrayOf(bytes, item)), keys]
}

const lists = {
  'unique items of any kind': Type.Array(Type.Unknown(), { uniqueItems: true }),
  'unique objects': Type.Array(Type.Object({ a: Type.Optional(Type.Integer()) }), { uniqueItems: true }),
  texts: Type.Array(Type.String()),
  objects: Type.Array(Type.Object({ a: Type.String(), b: Type.Number() })),
  unions: Type.Array(Type.Union([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Number() }), Type.Array(Type.Number())])),
  intersections: Type.Array(Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.String() })])),
  object: Type.Object({}),
  record: Type.Record(Type.String({ pattern: '^[a-z]+$' }), Type.Number()),
  'joint object': Type.Intersect([Type.Object({ a: Type.Optional(Type.String()) }), Type.Object({ b: Type.Optional(Type.String()) })])
}
attack(
  'G7 lists and objects of 64 KiB take less than 50 ms of the event loop, to check and to explain',
  { plugin: unhurried, declare: (app) => declareSchemas(app, lists) },
  async (t, { app }) => {
    const raw = await openRaw(t, app, { path })
    for (const [name, schema] of Object.entries(lists)) t.equal(await findSlow(raw, name, schema, listsOf), undefined, name)
  }
)
