import type { FastifyInstance } from 'fastify'
import type { TSchema } from 'typebox'
import Type from 'typebox'
import { type Contract, defineContract } from '../../src/index.js'
import { attack } from '../fixtures/attack.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { openRaw } from '../fixtures/frames.js'
import { declareSchemas, findSlow, hostileTexts } from '../fixtures/hostile-texts.js'

const path = '/hostile'
/** The event loop is kept all the time, on a machine that is busy as well. */
const unhurried = { ...manyRequests, pingInterval: '1 hour' }

function schemasOf(patterns: readonly string[]): Record<string, TSchema> {
  return Object.fromEntries(patterns.map((pattern) => [pattern, Type.String({ pattern })]))
}

/** Hostile texts, and those that some of the patterns below ask for. */
function textsOf(bytes: number): string[] {
  return [...hostileTexts(bytes), ...['c', 'b', 'y'].map((unit) => unit.repeat(bytes - 40))]
}

/** Each goes through a text in so many ways that 64 KiB of it take seconds or for ever. */
const catastrophic = [
  '^(a+)+$',
  '^(a|aa)+$',
  '^(a|a)*b$',
  '^(\\w+\\s?)*$',
  '^(?:a?){30}a{30}$',
  '^a*a*a*b$',
  '^.*foo.*bar.*baz$',
  '\\s+$',
  '[a-z]+x',
  'a{1000}b',
  '(.)\\1+$',
  '^(.*)\\1$',
  '^(?<word>a+)+$',
  '^(?=(a+)+$)x'
]

let refusedAtStart = new Set<string>()
attack(
  'G7 a route with a catastrophic pattern is refused at start-up, and the app lives without it',
  {
    plugin: unhurried,
    declare: (app) => {
      refusedAtStart = declareSchemas(app, schemasOf([...catastrophic, '^[a-z]+$']))
    }
  },
  async (t, { app }) => {
    t.same([...refusedAtStart], catastrophic)
    const raw = await openRaw(t, app, { path })
    t.match(await raw.request('^[a-z]+$', 'abc', 1), { type: '$reply', id: 1 })
    t.match(await raw.request('^(a+)+$', `${'a'.repeat(40)}!`, 2), { type: '$error', payload: { statusCode: 404 } })
  }
)

/** Those look ahead or behind as far as the text goes, and again from each of its characters. */
const lookarounds = ['^(?:(?!.*!).)*$', '^(?:a(?=a*$))*$', '(?=.*!)y', '(?<=a[^b]*)c']

const reallyLinear = [
  '^[a-z0-9]+(?:-[a-z0-9]+)*$',
  '^[^\\s@]+@[^\\s@]+$',
  '^\\+?[1-9]\\d{1,14}$',
  '^(?:[01]\\d|2[0-3]):[0-5]\\d$',
  '^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$',
  '^(room|user):[\\w-]{1,40}$',
  '^v?\\d+\\.\\d+\\.\\d+(?:-[0-9A-Za-z.-]+)?$',
  '^[\\p{L}\\p{N} ]+$',
  '^(?<year>\\d{4})-(?<month>\\d{2})$',
  '^(?!.*--)[a-z-]+$',
  '^(?:[a-z]{1,50}-){1,50}$',
  '^a{0,1000}b{0,1000}$',
  '^(?:a|b)*(?:c|d)*$',
  '^[^]*$',
  '\\S'
]

let refused = new Set<string>()
attack(
  'G7 a pattern is refused at start-up, or a hostile text of 64 KiB keeps the event loop less than 50 ms',
  {
    plugin: unhurried,
    declare: (app) => {
      refused = declareSchemas(app, schemasOf([...lookarounds, ...reallyLinear]))
    }
  },
  async (t, { app }) => {
    t.same(
      reallyLinear.filter((pattern) => refused.has(pattern) && !pattern.includes('(?!')),
      [],
      'what is harmless is not refused'
    )
    const raw = await openRaw(t, app, { path })
    for (const pattern of [...lookarounds, ...reallyLinear]) {
      if (!refused.has(pattern)) t.equal(await findSlow(raw, pattern, Type.String({ pattern }), textsOf), undefined, pattern)
    }
  }
)

/** Where a pattern may stand in a schema, and values that have a text there. */
const places: Record<string, { schema: (pattern: string) => TSchema; around: (text: string) => unknown }> = {
  'a nested property': {
    schema: (pattern) => Type.Object({ a: Type.Object({ b: Type.Object({ c: Type.String({ pattern }) }) }) }),
    around: (text) => ({ a: { b: { c: text } } })
  },
  'an optional property': {
    schema: (pattern) => Type.Object({ a: Type.Optional(Type.String({ pattern })) }),
    around: (text) => ({ a: text })
  },
  'items of an array': { schema: (pattern) => Type.Array(Type.String({ pattern })), around: (text) => [text] },
  'properties of items': {
    schema: (pattern) => Type.Array(Type.Object({ a: Type.String({ pattern }) })),
    around: (text) => [{ a: text }]
  },
  'a tuple': { schema: (pattern) => Type.Tuple([Type.Number(), Type.String({ pattern })]), around: (text) => [1, text] },
  'a union': { schema: (pattern) => Type.Union([Type.Number(), Type.String({ pattern })]), around: (text) => text },
  'a union of objects': {
    schema: (pattern) => Type.Union([Type.Object({ n: Type.Number() }), Type.Object({ a: Type.String({ pattern }) })]),
    around: (text) => ({ a: text })
  },
  'an intersection': {
    schema: (pattern) => Type.Intersect([Type.Object({ n: Type.Number() }), Type.Object({ a: Type.String({ pattern }) })]),
    around: (text) => ({ n: 1, a: text })
  },
  'names of properties': {
    schema: (pattern) => Type.Object({}, { patternProperties: { [pattern]: Type.Number() } }),
    around: (text) => ({ [text]: 1 })
  },
  'the keys of a record': {
    schema: (pattern) => Type.Record(Type.String({ pattern }), Type.Number()),
    around: (text) => ({ [text]: 1 })
  },
  'the values of a record': {
    schema: (pattern) => Type.Record(Type.String(), Type.String({ pattern })),
    around: (text) => ({ a: text })
  },
  'a negation': {
    schema: (pattern) => Type.Object({ a: Type.Unsafe({ not: Type.String({ pattern }) }) }),
    around: (text) => ({ a: text })
  },
  'a definition': {
    schema: (pattern) => Type.Cyclic({ Node: Type.Object({ a: Type.String({ pattern }), next: Type.Optional(Type.Ref('Node')) }) }, 'Node'),
    around: (text) => ({ a: 'a', next: { a: text } })
  }
}

const CATASTROPHIC = '^(a+)+$'
const LINEAR = '^[a-z]+$'

/** Every schema of a contract, each beside others that are harmless. */
const roles: Record<string, (schema: TSchema) => Contract> = {
  payload: (payload) => defineContract({ messages: { text: { payload } } }),
  reply: (reply) => defineContract({ messages: { text: { payload: Type.Object({}), reply } } }),
  event: (news) => defineContract({ events: { news } })
}

/** Why a route with this contract is refused at start-up; undefined where it is not. */
function refusalOf(app: FastifyInstance, path: string, contract: Contract): unknown {
  const handlers = Object.fromEntries(Object.keys(contract.messages).map((name) => [name, () => ({})]))
  try {
    Reflect.apply(app.wsRoute, app, [path, { contract, handlers }])
    return undefined
  } catch (error) {
    return error
  }
}

const refusals = new Map<string, unknown>()
attack(
  'G7 a catastrophic pattern is found wherever it stands, in payloads, replies and events',
  {
    plugin: unhurried,
    declare(app) {
      for (const [place, { schema }] of Object.entries(places)) {
        for (const [role, contractOf] of Object.entries(roles)) {
          for (const pattern of [CATASTROPHIC, LINEAR]) {
            const name = `${pattern} as ${place}: ${role}`
            refusals.set(name, refusalOf(app, `/places/${refusals.size}`, contractOf(schema(pattern))))
          }
        }
      }
      const harmless = Object.entries(places).map(([place, { schema }]) => [place, schema(LINEAR)] as const)
      declareSchemas(app, Object.fromEntries(harmless))
    }
  },
  async (t, { app }) => {
    const wanted = { code: 'FST_WS_TICKET_INVALID_CONTRACT', message: /\^\(a\+\)\+\$ can take more than linear time/ }
    for (const [name, refusal] of refusals) {
      if (name.startsWith(LINEAR)) t.equal(refusal, undefined, name)
      else t.match(refusal, wanted, name)
    }
    const raw = await openRaw(t, app, { path })
    for (const [place, { schema, around }] of Object.entries(places)) {
      const slow = await findSlow(raw, place, schema(LINEAR), (bytes) => hostileTexts(bytes).map(around))
      t.equal(slow, undefined, `a harmless one as ${place} keeps the event loop less than 50 ms`)
    }
  }
)
