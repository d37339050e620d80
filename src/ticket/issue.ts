import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Compile } from 'typebox/compile'
import { fail } from '../errors.js'
import { logFailure } from '../log-failure.js'
import type { Settings } from '../options.js'
import { SUBPROTOCOL, TICKET_PROTOCOL_PREFIX } from '../protocol.js'
import { ipKeyOf, type RequestRate } from '../request-rate/request-rate.js'
import { authenticate, type Caller, timeLeftMs } from './authenticate.js'
import { pathOf } from './path.js'
import { sheltered } from './sheltered.js'
import type { IssueOutcome, TicketRecord, TicketStore } from './store.js'
import { isIssueOutcome } from './store-answer.js'
import { createTicket, hashTicket } from './ticket.js'
import { ticketBody } from './ticket-schema.js'

/** What issuing a ticket needs. */
export interface IssueStage {
  readonly route: string
  readonly settings: Settings
  readonly store: TicketStore
  /** Did the request come by a secure channel, from an origin that is allowed? Refuses by throwing, as an upgrade is refused. */
  readonly checkSource: (request: FastifyRequest) => void
  /** Is there room for one more connection? Refuses by throwing. */
  readonly checkRoom: (ipKey: string, userId: string) => Promise<void>
  readonly perIp: RequestRate
  /** Counts the user that `callerOf` tells. */
  readonly perUser: RequestRate
  /** Was the user disconnected since? Then what was checked before does not hold any more. */
  readonly wasDisconnected: (userId: string, since: number) => boolean
  /** The route's own check; what it returns becomes the connection's context. */
  readonly authorize: (request: FastifyRequest) => unknown
}

const bodyValidator = Compile(ticketBody)

interface AskingCaller extends Caller {
  /** When the request was checked. */
  readonly since: number
}

const callers = new WeakMap<FastifyRequest, AskingCaller>()

/** Who asks; known once {@link checkCaller} has passed. */
export function callerOf(request: FastifyRequest): AskingCaller {
  const caller = callers.get(request)
  if (!caller) throw fail('UNAUTHENTICATED')
  return caller
}

/** Everything that can be checked before the body is read, cheapest first. */
export async function checkCaller(stage: IssueStage, request: FastifyRequest): Promise<void> {
  stage.checkSource(request)
  checkContentType(request)
  await stage.perIp(request)
  const since = stage.settings.clock.now()
  callers.set(request, { ...(await authenticate(request, stage.settings)), since })
  await stage.perUser(request)
}

const EMPTY_OBJECT = '{}'

/** A request without a body is as good as one with an empty object. */
export async function fillEmptyBody(request: FastifyRequest, _reply: FastifyReply, payload: Readable): Promise<Readable> {
  if (hasBody(request)) return payload
  // Fastify compares the two
  request.headers['content-length'] = String(EMPTY_OBJECT.length)
  return Readable.from([Buffer.from(EMPTY_OBJECT)])
}

/** HTTP/2 tells it by the end of the stream, without any header (RFC 9113, section 8.1). */
function hasBody({ headers, raw }: FastifyRequest): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = headers
  if (length !== undefined) return Number(length) !== 0
  if (raw.httpVersionMajor < 2) return encoding !== undefined
  return Reflect.get(Object(Reflect.get(raw, 'stream')), 'endAfterHeaders') !== true
}

/** Before Fastify's own validation, which by default would take away what does not belong there. */
export async function checkBody(request: FastifyRequest): Promise<void> {
  if (!bodyValidator.Check(request.body)) throw fail('INVALID_TICKET_REQUEST')
}

/** Only JSON: a form of a foreign page can't send it without asking first (OWASP, Cross-Site Request Forgery). */
function checkContentType(request: FastifyRequest): void {
  const [type = ''] = (request.headers['content-type'] ?? '').split(';')
  if (type.trim().toLowerCase() !== 'application/json') throw fail('UNSUPPORTED_MEDIA_TYPE')
}

/** Issues a ticket: the handler of the ticket route. Nothing is left to do where it was answered by the deadline. */
export async function issue(stage: IssueStage, request: FastifyRequest, reply: FastifyReply): Promise<object> {
  const { settings, store } = stage
  const caller = callerOf(request)
  const refreshes = refreshOf(request.body)
  if (refreshes === null) await stage.checkRoom(ipKeyOf(request), caller.userId)
  const context = await sheltered(request, 'authorize failed', () => authorize(stage, request))
  if (reply.sent) return reply.hijack()
  const ttlMs = Math.min(settings.ticketTtlMs, timeLeftMs(request, caller, settings))
  const record = await sheltered(request, 'the user or the context is no JSON', () =>
    asJson({
      user: caller.user,
      userId: caller.userId,
      context,
      route: stage.route,
      path: pathOf(request.params),
      origin: request.headers.origin ?? null,
      ip: settings.bindTicketToIp ? ipKeyOf(request) : null,
      refreshes,
      authenticatedUntil: caller.authenticatedUntil
    })
  )
  const ticket = createTicket()
  await keep(store, request, hashTicket(ticket), record, ttlMs, settings.maxTicketsPerUser)
  if (reply.sent) return reply.hijack()
  // a ticket that nobody is told of opens nothing
  if (stage.wasDisconnected(caller.userId, caller.since)) throw fail('FORBIDDEN')
  reply.code(201).header('cache-control', 'no-store')
  return { ticket, expiresIn: Math.floor(ttlMs / 1000), protocols: [SUBPROTOCOL, TICKET_PROTOCOL_PREFIX + ticket] }
}

async function authorize(stage: IssueStage, request: FastifyRequest): Promise<unknown> {
  const context: unknown = await stage.authorize(request)
  // nothing is what a check that refuses by throwing returns; any other empty value is a check gone wrong
  if (context === undefined) return null
  if (!context) throw fail('FORBIDDEN')
  return context
}

async function keep(
  store: TicketStore,
  request: FastifyRequest,
  hash: string,
  record: TicketRecord,
  ttlMs: number,
  perUser: number
): Promise<void> {
  const result = await ask(request, async () => store.issue(hash, record, ttlMs))
  if (result.outcome === 'user-full') throw fail('TOO_MANY_TICKETS', [perUser], { retryAfterMs: result.retryAfterMs })
  if (result.outcome === 'full') throw fail('STORE_FULL', [], { retryAfterMs: result.retryAfterMs })
}

/** What the store answers; when it fails, or answers what no store may, nobody is told of a ticket. */
async function ask(request: FastifyRequest, question: () => Promise<IssueOutcome>): Promise<IssueOutcome> {
  try {
    const answer: unknown = await question()
    if (isIssueOutcome(answer)) return answer
    throw new Error('the ticket store answered what is no outcome')
  } catch (error) {
    logFailure(request.log, error, 'the ticket store failed')
    throw fail('UNAVAILABLE', [], { retryAfterMs: 1000, cause: error })
  }
}

function refreshOf(body: unknown): string | null {
  const refresh: unknown = Reflect.get(Object(body), 'refresh')
  return typeof refresh === 'string' ? refresh : null
}

/** As it will come back from any store; whatever is not JSON fails here and not on the day another store is used. */
function asJson(record: TicketRecord): TicketRecord {
  return JSON.parse(JSON.stringify(record))
}
