import t from 'tap'
import { checkTopic, Topics } from '../../src/publish/topics.js'

t.test('a topic is there as long as somebody is subscribed to it', async (t) => {
  const topics = new Topics<string>()
  for (const topic of ['room:1', '__proto__', 'constructor', '']) {
    t.same([...topics.of(topic)], [])
    topics.add(topic, 'ann')
    topics.add(topic, 'ann')
    topics.add(topic, 'bob')
    t.same([...topics.of(topic)], ['ann', 'bob'], 'each once')
    topics.remove(topic, 'ann')
    topics.remove(topic, 'ann')
    topics.remove(topic, 'nobody')
    t.same([...topics.of(topic)], ['bob'])
    t.equal(topics.size, 1)
    topics.remove(topic, 'bob')
    t.equal(topics.size, 0)
  }
  topics.remove('room:2', 'ann')
  t.equal(topics.size, 0)
})

t.test('what is no text is no topic', async (t) => {
  for (const topic of [undefined, null, 7, {}, Symbol('x')]) {
    t.throws(() => checkTopic(topic), { code: 'FST_WS_TICKET_INVALID_TOPIC', statusCode: 500 }, String(topic))
  }
  t.doesNotThrow(() => checkTopic(''))
})
