import Type, { type Static } from 'typebox'
import { optionParser } from '../option-schema.js'

const serverShape = Type.Object(
  {
    /** Host name, with a port where it is not the usual one. */
    host: Type.String({ minLength: 1 }),
    protocol: Type.Union([Type.Literal('ws'), Type.Literal('wss')]),
    /** What stands before the addresses of all channels. */
    pathname: Type.Optional(Type.String()),
    description: Type.Optional(Type.String())
  },
  { additionalProperties: false }
)

const infoShape = Type.Object(
  {
    title: Type.String({ default: 'WebSocket API', description: 'a text' }),
    version: Type.String({ default: '1.0.0', description: 'a text' }),
    description: Type.Optional(Type.String({ description: 'a text' })),
    /** By names of letters, digits, `.`, `_` and `-`. */
    servers: Type.Optional(
      Type.Record(Type.String({ pattern: '^[\\w.-]+$' }), serverShape, {
        additionalProperties: false,
        description:
          "{ <name>: { host, protocol, pathname?, description? } }, protocol being 'ws' or 'wss', a name of letters, digits and . _ -"
      })
    ),
    /** The address of the OpenAPI document that describes the ticket routes; an absolute one is linked from each channel. */
    openapi: Type.Optional(Type.String({ description: 'a URL' }))
  },
  { additionalProperties: false }
)

type FilledInfo = Static<typeof infoShape>

/** What the document says that no route knows. */
export type AsyncApiInfo = Partial<FilledInfo>

const parse = optionParser(infoShape)

/** @throws FST_WS_TICKET_INVALID_OPTION naming what is wrong */
export function parseInfo(info: AsyncApiInfo): FilledInfo {
  return parse(info, 'asyncapi: ')
}
