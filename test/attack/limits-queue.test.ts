import type { FastifyInstance } from 'fastify'
import type { RouteLimits } from '../../src/index.js'
import { echoContract } from '../fixtures/app.js'
import { attack } from '../fixtures/attack.js'
import type { Frame } from '../fixtures/client.js'
import { echo, manyMessages } from '../fixtures/counted-echo.js'
import { messageFrame, Opcode, openRaw, type RawClient } from '../fixtures/frames.js'

const FLOOD = 2000

/** A route whose handlers answer when they are told to. */
class HeldRoute {
  readonly started: string[] = []
  readonly #held: (() => void)[] = []

  readonly declare = (app: FastifyInstance, limits: RouteLimits = {}): void => {
    app.wsRoute('/echo', {
      ...manyMessages,
      ...limits,
      contract: echoContract,
      handlers: {
        echo: async ({ text }) => {
          this.started.push(text)
          await new Promise<void>((resolve) => this.#held.push(resolve))
          return { text }
        },
        note: () => {}
      }
    })
  }

  /** Lets those that run answer. */
  answer(): void {
    for (const resolve of this.#held.splice(0)) resolve()
  }
}

const flood = Array.from({ length: FLOOD }, (_, id) => messageFrame(echo(`${id}`, id)))

/** What came so far, once the server has seen all that was written. */
async function answersOf(raw: RawClient): Promise<Frame[]> {
  await raw.flushed()
  const texts = raw.unread.splice(0).filter(({ opcode }) => opcode === Opcode.text)
  return texts.map(({ payload }) => JSON.parse(payload.toString()))
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

for (const [what, limits, running, taken] of [
  ['by default', {}, 1, 33],
  ['with four in flight and a queue of ten', { inFlight: 4, maxQueued: 10 }, 4, 14],
  ['without a queue', { inFlight: 2, maxQueued: 0 }, 2, 2]
] as const) {
  const held = new HeldRoute()
  attack(
    `H8 ${what}, messages beyond those in flight and in the queue are answered 429 one by one`,
    { declare: (app) => held.declare(app, limits) },
    async (t, { app }) => {
      const raw = await openRaw(t, app)
      raw.write(...flood)
      const refused = await answersOf(raw)
      t.same(
        refused.map(({ id }) => id),
        numbers(taken, FLOOD)
      )
      t.ok(refused.every(({ type, payload }) => type === '$error' && Reflect.get(Object(payload), 'statusCode') === 429))
      t.match(refused[0], { payload: { code: 'FST_WS_TICKET_TOO_MANY_IN_FLIGHT' } })
      t.equal(held.started.length, running, 'no more than may run')
      const answered: unknown[] = []
      for (let i = 0; i < taken; i += running) {
        held.answer()
        answered.push(...(await answersOf(raw)).map(({ id }) => id))
        raw.write(messageFrame({ type: 'note', payload: { text: 'x' } }))
      }
      t.same(answered.slice(0, taken), numbers(0, taken), 'what was taken in is answered in order')
      t.same(held.started, numbers(0, taken).map(String), 'and nothing else was handled')
    }
  )
}

const limited = new HeldRoute()
attack('H8 one connection over its limit takes nothing from another of the same user', { declare: limited.declare }, async (t, { app }) => {
  const [one, two] = [await openRaw(t, app), await openRaw(t, app)]
  one.write(...flood)
  await answersOf(one)
  two.write(messageFrame(echo('other', 1)))
  await two.flushed()
  t.same(limited.started, ['0', 'other'])
  limited.answer()
  t.match(await two.next(), { type: '$reply', id: 1, payload: { text: 'other' } })
})
