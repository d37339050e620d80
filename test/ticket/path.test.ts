import t from 'tap'
import { pathOf } from '../../src/ticket/path.js'

t.test('C6 a path is its parameters, whatever order they come in', async (t) => {
  t.equal(pathOf({}), '[]')
  t.equal(pathOf(undefined), '[]')
  t.equal(pathOf({ b: '2', a: '1', c: '3' }), '[["a","1"],["b","2"],["c","3"]]')
  t.equal(pathOf({ b: '2', a: '1' }), pathOf({ a: '1', b: '2' }))
  t.not(pathOf({ a: '1","b' }), pathOf({ a: '1', b: '' }), 'no value can pass for two')
})
