import type { TSchema } from 'typebox'
import Type from 'typebox'
import { attack } from '../fixtures/attack.js'
import { manyRequests } from '../fixtures/counted-echo.js'
import { openRaw } from '../fixtures/frames.js'
import { declareSchemas, findSlow, hostileTexts } from '../fixtures/hostile-texts.js'

const path = '/hostile'

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
    plugin: manyRequests,
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
    plugin: manyRequests,
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
