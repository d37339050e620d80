import t from 'tap'
import Type from 'typebox'
import { defineContract } from '../src/contract.js'

t.test('a contract holds what it is given, may leave out either side, and is frozen', async (t) => {
  const messages = { say: { payload: Type.String() } }
  const events = { news: Type.String() }
  t.same(defineContract({ messages, events }), { messages, events })
  t.same(defineContract({ messages }), { messages, events: {} })
  t.same(defineContract({ events }), { messages: {}, events })
  t.same(defineContract({}), { messages: {}, events: {} })
  t.ok(Object.isFrozen(defineContract({})))
})
