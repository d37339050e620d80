import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Duration, toMs } from '../option-schema.js'
import { fromCall } from './call-site.js'
import { misuse } from './misuse.js'
import { StandingClock } from './standing-clock.js'

/**
 * A clock for the plugin's option `clock` that stands still until a test moves it. All that the plugin does in time goes by it:
 * the lives of tickets and sessions, heartbeats, deadlines, rates and their violations.
 */
export class ManualClock extends StandingClock {
  /** Whoever goes by it has something repeated, an app from when the plugin is registered. */
  #isUsed = false

  /**
   * Moves on, instant by instant, and runs what falls due in order. After each instant connections of `connect` get and
   * answer what was sent to them, so that one that is alive stays so. Await it; resolves when all of that is done.
   *
   * @param duration milliseconds, or a text such as `'30 seconds'`, `'1h'`
   * @throws RangeError for what is no duration; TypeError where no app goes by this clock
   */
  advance(duration: Duration): Promise<void> {
    return fromCall(this.advance, () => this.#advance(checkedMs(duration)))
  }

  override every(everyMs: number, task: () => void): () => void {
    this.#isUsed = true
    return super.every(everyMs, task)
  }

  async #advance(ms: number): Promise<void> {
    if (!this.#isUsed)
      throw misuse('No app goes by this clock; give it to the plugin before it is moved: app.register(wsTicket, { clock, … }).')
    const end = this.now() + ms
    while (this.step(end)) await nextTurn()
    this.moveTo(end)
    await nextTurn()
  }
}

/**
 * Makes a {@link ManualClock}. It begins at the machine's time, since @fastify/jwt compares `exp` with that, and should not be set
 * back behind it.
 *
 * @example
 * const clock = manualClock()
 * await app.register(wsTicket, { allowedOrigins, clock })
 * const ann = await connect(app, '/chat', { user: { sub: 'ann' } })
 * await clock.advance('1 hour')
 * assert.equal((await ann.closed()).code, CloseCode.sessionExpired)
 */
export function manualClock(): ManualClock {
  return new ManualClock(Date.now())
}

function checkedMs(duration: Duration): number {
  const ms = toMs(duration)
  if (ms >= 0 && ms < Number.POSITIVE_INFINITY) return ms
  throw misuse(`'${duration}' is no duration; give milliseconds or a text such as '30 seconds'.`, RangeError)
}
