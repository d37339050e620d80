import assert from 'node:assert/strict'
import fc from 'fast-check'
import { attack } from '../fixtures/attack.js'
import { type Client, connect, type Frame } from '../fixtures/client.js'
import { runs } from '../fixtures/fc-runs.js'
import { anyText } from '../fixtures/json-arbitraries.js'
import { type Handled, judgeText } from '../fixtures/small-contract.js'
import { assertAnswer, declareSmallRoute, SMALL_PATH } from '../fixtures/small-route.js'

const calls: Handled[] = []
let probes = 0

/** What the server answers to a text, and what its handlers are called with. */
async function say(client: Client, text: string): Promise<{ answers: Frame[]; handled: Handled[] }> {
  calls.length = 0
  const n = 1_000_000 + probes++
  client.send(text)
  client.send({ type: 'probe', id: n, payload: { n } })
  const answers: Frame[] = []
  for (;;) {
    const frame = await client.next()
    if (frame.type === '$reply' && Object(frame.payload).n === n) break
    answers.push(frame)
  }
  assert.deepEqual(calls.pop(), { type: 'probe', payload: { n } })
  return { answers, handled: calls.splice(0) }
}

attack(
  'G1 G2 G3 G4 G5 G6 whatever a text says: one answer where one is due, and a handler only for what matches the schema',
  { declare: (app) => declareSmallRoute(app, calls) },
  async (t, { app }) => {
    const client = await connect(t, app, SMALL_PATH)
    await client.next()
    const prototype = Object.getOwnPropertyNames(Object.prototype)
    const seen = new Map<string, number>()
    await fc.assert(
      fc.asyncProperty(anyText, async (text) => {
        const { answer, handled } = judgeText(text)
        const said = await say(client, text)
        assert.deepEqual(said.handled, handled ? [handled] : [])
        assert.equal(said.answers.length, answer ? 1 : 0, JSON.stringify(said.answers))
        if (answer && said.answers[0]) assertAnswer(said.answers[0], answer)
        assert.deepEqual(Object.getOwnPropertyNames(Object.prototype), prototype)
        const outcome = answer?.code ?? answer?.type ?? 'no answer'
        seen.set(outcome, (seen.get(outcome) ?? 0) + 1)
      }),
      runs(3000)
    )
    t.comment(JSON.stringify(Object.fromEntries(seen)))
    t.equal(Reflect.get({}, 'polluted'), undefined)
    t.equal(app.wsTicket.stats().connections, 2, 'the connection is open still')
  }
)
