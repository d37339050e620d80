import t from 'tap'
import Type from 'typebox'
import Format from 'typebox/format'
import { defineContract } from '../../src/index.js'
import { checkFormats } from '../../src/message/formats.js'
import { compileSchema } from '../../src/message/schema.js'
import { buildApp } from '../fixtures/app.js'

const MISSPELT = Type.String({ format: 'emial' })

t.test('a format that would let every text pass is refused wherever it stands', async (t) => {
  const schemas: [place: string, schema: object][] = [
    ['', MISSPELT],
    [' at /properties/to', Type.Object({ to: MISSPELT })],
    [' at /properties/to', Type.Object({ to: Type.Optional(MISSPELT) })],
    [' at /properties/a~1b~0c', Type.Object({ 'a/b~c': MISSPELT })],
    [' at /properties/default', Type.Object({ default: MISSPELT })],
    [' at /items', Type.Array(MISSPELT)],
    [' at /items/1', Type.Tuple([Type.Number(), MISSPELT])],
    [' at /anyOf/1', Type.Union([Type.Number(), MISSPELT])],
    [' at /allOf/0', { allOf: [{ format: 'emial' }] }],
    [' at /not', { not: { format: 'emial' } }],
    ['', { type: ['string', 'null'], format: 'emial' }]
  ]
  for (const [place, schema] of schemas) {
    const known = 'date-time, .*, email, .*uuid'
    const message = new RegExp(`^the format 'emial'${place} is not known, .* by Format\\.Set of typebox/format, or use one of: ${known}`)
    t.throws(() => checkFormats(schema), { message }, JSON.stringify(schema))
  }
})

t.test('formats that TypeBox knows, and what is no format of a text, are accepted', async (t) => {
  const schemas: object[] = [
    Type.String({ format: 'email' }),
    Type.Object({ format: Type.String() }),
    Type.Integer({ format: 'int32' }),
    { const: MISSPELT, enum: [MISSPELT], default: MISSPELT, examples: [MISSPELT] },
    { format: 7 }
  ]
  for (const schema of schemas) t.doesNotThrow(() => checkFormats(schema), JSON.stringify(schema))
})

t.test('a format of the app is known once it is registered, and then decides', async (t) => {
  const schema = Type.String({ format: 'even-length' })
  t.throws(() => compileSchema(schema), { message: /even-length/ })
  Format.Set('even-length', (text) => text.length % 2 === 0)
  const { check } = compileSchema(schema)
  t.same([check('ab'), check('abc')], [true, false])
})

t.test('an app with a misspelt format does not start, and is told of which message and where', async (t) => {
  const app = await buildApp(t)
  const payload = Type.Object({ to: MISSPELT })
  const wanted = (where: string) => ({
    code: 'FST_WS_TICKET_INVALID_CONTRACT',
    message: new RegExp(`^Route /mail: ${where}: the format 'emial' at /properties/to is not known`)
  })
  const handlers = { send: () => {} }
  t.throws(() => app.wsRoute('/mail', { contract: defineContract({ messages: { send: { payload } } }), handlers }), wanted('send, payload'))
  const replying = defineContract({ messages: { send: { payload: Type.Object({}), reply: payload } } })
  t.throws(() => app.wsRoute('/mail', { contract: replying, handlers: { send: () => ({ to: '' }) } }), wanted('send, reply'))
  t.throws(() => app.wsRoute('/mail', { contract: defineContract({ events: { sent: payload } }), handlers: {} }), wanted('sent'))
})
