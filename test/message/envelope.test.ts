import t from 'tap'
import { checkEnvelope, salvageId } from '../../src/message/envelope.js'

const refusal = { code: 'FST_WS_TICKET_INVALID_ENVELOPE', statusCode: 400 }

t.test('a frame has a type and may have an id and a payload', async (t) => {
  t.same(checkEnvelope({ type: 'a' }), { type: 'a', payload: undefined })
  t.same(checkEnvelope({ type: 'a', payload: null }), { type: 'a', payload: null })
  for (const id of [0, 7, Number.MAX_SAFE_INTEGER]) t.same(checkEnvelope({ type: 'a', id, payload: 1 }), { type: 'a', id, payload: 1 })
})

t.test('G4 a frame that has another form is refused, and the message says what is wrong', async (t) => {
  const cases: [unknown, RegExp][] = [
    [null, /not an object/],
    ['text', /not an object/],
    [7, /not an object/],
    [[{ type: 'a' }], /not an object/],
    [{}, /type is not a text/],
    [{ type: 1 }, /type is not a text/],
    [{ type: { toString: 'a' } }, /type is not a text/],
    [{ type: ['a'] }, /type is not a text/],
    [{ type: null }, /type is not a text/],
    [{ type: 'a', extra: 1 }, /other properties/],
    [{ type: 'a', toString: 1 }, /other properties/],
    [{ type: 'a', id: null }, /id is not/],
    [{ type: 'a', id: '7' }, /id is not/],
    [{ type: 'a', id: -1 }, /id is not/],
    [{ type: 'a', id: 1.5 }, /id is not/],
    [{ type: 'a', id: 2 ** 53 }, /id is not/],
    [{ type: 'a', id: Number.POSITIVE_INFINITY }, /id is not/]
  ]
  for (const [value, message] of cases) t.throws(() => checkEnvelope(value), { ...refusal, message }, JSON.stringify(value))
})

t.test('the id of a frame that is wrong elsewhere is found, where it is one', async (t) => {
  t.equal(salvageId({ type: 1, id: 7 }), 7)
  for (const value of [undefined, null, 'text', [7], {}, { id: '7' }, { id: -1 }, { id: {} }]) {
    t.equal(salvageId(value), undefined, JSON.stringify(value))
  }
})
