import t from 'tap'
import Type from 'typebox'
import { callable, duration, durationOrOff, flag, optionParser, show, toMs, whole } from '../src/option-schema.js'

const shape = Type.Object(
  {
    count: whole(1, 10, 5),
    needed: whole(0, 9),
    isOn: flag(false),
    wait: duration(10, 1000, '0.5s'),
    pause: durationOrOff(10, 1000),
    hook: Type.Optional(callable('a function')),
    tool: Type.Optional(callable('a tool', ['open', 'close'])),
    names: Type.Array(Type.String({ minLength: 1 }), { default: [], description: 'a list of names' }),
    rate: Type.Object(
      { max: whole(1, 9), burst: Type.Optional(whole(1, 9)) },
      { additionalProperties: false, default: { max: 1 }, description: '{ max, burst? }' }
    )
  },
  { additionalProperties: false }
)
const parse = optionParser(shape)

t.test('defaults are filled in, and an option that is undefined is not given', async (t) => {
  const filled = { count: 5, needed: 0, isOn: false, wait: '0.5s', pause: false, names: [], rate: { max: 1 } }
  t.same(parse({ needed: 0 }), filled)
  t.same(parse({ needed: 0, count: undefined, hook: undefined, rate: undefined }), filled)
})

t.test('what is given is kept as it is, also where it is frozen', async (t) => {
  const hook = () => {}
  const tool = { open: hook, close: hook }
  const given = Object.freeze({
    count: 1,
    needed: 9,
    isOn: true,
    wait: 10,
    pause: '1s',
    hook,
    tool,
    names: ['a'],
    rate: Object.freeze({ max: 9, burst: 2 })
  })
  const parsed = parse(given)
  t.same(parsed, given)
  t.equal(parsed.tool, tool)
})

const bad: [string, unknown, string][] = [
  ['no object', undefined, "'options' is missing; allowed: an object of count, needed,"],
  ['null', null, "'options' is null; allowed: an object of"],
  ['a list', [], "'options' is []; allowed: an object of"],
  ['a text', 'x', "'options' is 'x'; allowed: an object of"],
  ['a needed one missing', {}, "'needed' is missing; allowed: a whole number from 0 to 9."],
  ['a needed one undefined', { needed: undefined }, "'needed' is missing; allowed: a whole number from 0 to 9."],
  ['too small', { needed: -1 }, "'needed' is -1; allowed: a whole number from 0 to 9."],
  ['too large', { needed: 10 }, "'needed' is 10; allowed:"],
  ['a part of one', { needed: 0.5 }, "'needed' is 0.5; allowed:"],
  ['a text for a number', { needed: '1' }, "'needed' is '1'; allowed:"],
  ['no number', { needed: Number.NaN }, "'needed' is NaN; allowed:"],
  ['no end', { needed: Number.POSITIVE_INFINITY }, "'needed' is Infinity; allowed:"],
  ['a big integer', { needed: 1n }, "'needed' is 1n; allowed:"],
  ['null for a number', { needed: null }, "'needed' is null; allowed:"],
  ['a number for a flag', { needed: 1, isOn: 1 }, "'isOn' is 1; allowed: true or false."],
  [
    'a short duration',
    { needed: 1, wait: '9ms' },
    "'wait' is '9ms'; allowed: a duration from 10 to 1000 ms, as a number of ms or a text such as '30 seconds'."
  ],
  ['a duration of another kind', { needed: 1, pause: true }, "'pause' is true; allowed: false, or a duration from 10 to 1000 ms."],
  ['no function', { needed: 1, hook: {} }, "'hook' is {}; allowed: a function."],
  [
    'no methods',
    { needed: 1, tool: { open: () => {} } },
    "'tool' is { open: [Function: open] }; allowed: a tool with the methods open, close."
  ],
  ['null for methods', { needed: 1, tool: null }, "'tool' is null; allowed: a tool with"],
  ['a function for methods', { needed: 1, tool: () => {} }, "'tool' is [Function: tool]; allowed: a tool with"],
  ['a bad item', { needed: 1, names: ['a', ''] }, "'names[1]' is ''; allowed: a list of names."],
  ['no list', { needed: 1, names: 'a' }, "'names' is 'a'; allowed: a list of names."],
  ['an unknown one', { needed: 1, cuont: 2 }, "'cuont' is not known; allowed: count, needed, isOn, wait, pause, hook, tool, names, rate."],
  ['an unknown one that is undefined', { needed: 1, cuont: undefined }, "'cuont' is not known; allowed: count,"],
  ['one named as a property of objects', { needed: 1, constructor: 2 }, "'constructor' is not known; allowed: count,"],
  ['one with signs of JSON Pointer', { needed: 1, 'a/~b': 2 }, "'a/~b' is not known; allowed: count,"],
  ['an unknown one in place of one that is needed', { neded: 1 }, "'neded' is not known; allowed: count, needed,"],
  ['such a one inside', { needed: 1, rate: { maks: 1 } }, "'rate.maks' is not known; allowed: max, burst."],
  ['an unknown one inside', { needed: 1, rate: { max: 1, brust: 2 } }, "'rate.brust' is not known; allowed: max, burst."],
  ['a missing one inside', { needed: 1, rate: {} }, "'rate.max' is missing; allowed: a whole number from 1 to 9."],
  ['a bad one inside', { needed: 1, rate: { max: 0 } }, "'rate.max' is 0; allowed: a whole number from 1 to 9."],
  ['another kind', { needed: 1, rate: false }, "'rate' is false; allowed: { max, burst? }."]
]

for (const [name, given, message] of bad) {
  t.test(`${name} is refused with its name, its value and what is allowed`, async (t) => {
    t.throws(() => parse(given), { code: 'FST_WS_TICKET_INVALID_OPTION', statusCode: 500 })
    let said = ''
    try {
      parse(given, '/chat: ')
    } catch (error) {
      said = error instanceof Error ? error.message : ''
    }
    t.ok(said.startsWith(`Option /chat: ${message}`), said)
  })
}

t.test('durations are numbers of milliseconds or texts', async (t) => {
  const cases: [unknown, number][] = [
    [250, 250],
    ['250', 250],
    ['250ms', 250],
    ['30 seconds', 30_000],
    ['1.5 minutes', 90_000],
    ['1h', 3_600_000]
  ]
  for (const [value, ms] of cases) t.equal(toMs(value), ms, String(value))
  for (const value of ['', 'soon', '5 parsecs', null, undefined, {}, true, []]) t.ok(Number.isNaN(toMs(value)), JSON.stringify(value))
})

t.test('a value is shown whatever it is, and cut when it is long', async (t) => {
  const circular: { self?: unknown } = {}
  circular.self = circular
  t.match(show(circular), /Circular/)
  t.equal(show(/x/), '/x/')
  t.equal(show(undefined), 'missing')
  t.equal(show('x'.repeat(1000)).length, 101)
})
