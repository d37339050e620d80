import { inspect } from 'node:util'
import { WsTicketError } from '../client/error.js'
import type { FailureWatcher } from '../failure-watch.js'

const MAX_SHOWN = 500

const GIVE_A_LOGGER = 'Why, says its log; give the app a logger: Fastify({ logger: true }).'
const UNREADABLE = 'Why, can not be said: what was thrown throws where it is read.'
const SECRET = 'what was thrown is left out, as it shows a token or a ticket'

interface Failure {
  readonly failure: unknown
  readonly messageId: number | undefined
}

/** What the server has failed with in what one connection asked of it, and could not tell a client. */
export class Failures {
  readonly #failures: Failure[] = []
  readonly #secrets: string[] = []

  readonly watcher: FailureWatcher = (failure, messageId) => {
    this.#failures.push({ failure, messageId })
  }

  /** What no error may show: what a token or a ticket is sent in. */
  hide(sent: Readonly<Record<string, string>>): void {
    this.#secrets.push(...secretsIn(sent))
  }

  /**
   * The error, with why in its message and its `cause`, as far as the server has failed and not merely refused.
   * @param messageId that of the message which it answers
   */
  explain(error: WsTicketError, messageId?: number): WsTicketError {
    const index = this.#failures.findIndex((failure) => failure.messageId === messageId)
    const [found] = index < 0 ? [] : this.#failures.splice(index, 1)
    try {
      return this.#withCause(error, found?.failure)
    } catch {
      return changed(error, joined(error.message, UNREADABLE))
    }
  }

  #withCause(error: WsTicketError, failure: unknown): WsTicketError {
    const cause = this.#causeOf(error, failure)
    if (cause !== undefined) return changed(error, joined(error.message, `Why: ${show(cause)}`), toError(cause))
    return error.statusCode === 500 ? changed(error, joined(error.message, GIVE_A_LOGGER)) : error
  }

  /** What has been told to the client is no reason of itself. */
  #causeOf({ code }: WsTicketError, failure: unknown): unknown {
    const { code: itsCode, cause }: Record<string, unknown> = Object(failure)
    const reason = itsCode === code ? cause : failure
    return reason !== undefined && this.#isSecret(reason) ? SECRET : reason
  }

  #isSecret(reason: unknown): boolean {
    const text = inspect(reason, { depth: 5, maxStringLength: null, customInspect: false })
    return this.#secrets.some((secret) => text.includes(secret))
  }
}

/** Names of what is sent that is a secret, or has one in it. */
const SECRET_NAMES = /^(?:authorization|cookie|ticket)$/i

/** RFC 7519, section 3; wherever it is sent. */
const JWT_FORMAT = /^[\w-]+\.[\w-]+\.[\w-]+$/

const MIN_SECRET = 16

function secretsIn(sent: Readonly<Record<string, string>>): string[] {
  return Object.entries(sent).flatMap(([name, value]) => {
    const parts = value.split(/[\s;=]+/).filter((part) => part.length >= MIN_SECRET)
    return SECRET_NAMES.test(name) ? parts : parts.filter((part) => JWT_FORMAT.test(part))
  })
}

/** The same in other words. */
export function changed(error: WsTicketError, message: string, cause: unknown = error.cause): WsTicketError {
  return Object.assign(new WsTicketError(error.code, message), error, cause === undefined ? {} : { cause })
}

/** One sentence, or what an app takes for one, and another. */
export function joined(one: string, other: string): string {
  if (other === '') return one
  return `${one}${/[.!?…]$/.test(one) ? '' : '.'} ${other}`
}

/** What is said in a text was thrown nowhere. */
function toError(cause: unknown): unknown {
  if (typeof cause !== 'string') return cause
  const error = new Error(cause)
  error.stack = String(error)
  return error
}

/** With what a schema objected to, where that is why. */
function show(reason: unknown): string {
  const { issues }: Record<string, unknown> = Object(reason)
  const text = reason instanceof Error || typeof reason === 'string' ? String(reason) : inspect(reason, { customInspect: false })
  const all = issues === undefined ? text : `${text}: ${JSON.stringify(issues)}`
  return all.length > MAX_SHOWN ? `${all.slice(0, MAX_SHOWN)}…` : all
}
