import t from 'tap'
import { Rooms } from '../../examples/chat/rooms.js'

const phone = { id: 'c1', userId: 'ann' }
const laptop = { id: 'c2', userId: 'ann' }
const bob = { id: 'c3', userId: 'bob' }

t.test('names are told once each, sorted', async (t) => {
  const rooms = new Rooms()
  for (const member of [bob, phone, laptop, laptop]) rooms.join('tea', member)
  t.strictSame(rooms.namesIn('tea'), ['ann', 'bob'])
  t.strictSame(rooms.namesIn('coffee'), [])
})

t.test('connections are members, each for itself', async (t) => {
  const rooms = new Rooms()
  rooms.join('tea', phone)
  t.ok(rooms.has('tea', phone))
  t.notOk(rooms.has('tea', laptop))
  rooms.join('tea', laptop)
  rooms.leaveAll(phone)
  t.strictSame(rooms.namesIn('tea'), ['ann'])
  rooms.leaveAll(laptop)
  t.strictSame(rooms.namesIn('tea'), [])
})

t.test('leaving one room leaves the others, and leaving twice does no harm', async (t) => {
  const rooms = new Rooms()
  rooms.join('tea', phone)
  rooms.join('coffee', phone)
  rooms.leave('tea', phone)
  rooms.leave('tea', phone)
  rooms.leave('tea', bob)
  t.strictSame(rooms.roomsOf(phone), ['coffee'])
  rooms.leaveAll(phone)
  rooms.leaveAll(phone)
  t.strictSame(rooms.roomsOf(phone), [])
})
