import Type, { type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import type { FindOutcome, IssueOutcome } from './store.js'

const orNull = (schema: TSchema) => Type.Union([schema, Type.Null()])

const record = Type.Object({
  user: Type.Object({}),
  userId: Type.String({ minLength: 1 }),
  route: Type.String(),
  path: Type.String(),
  origin: orNull(Type.String()),
  ip: orNull(Type.String()),
  refreshes: orNull(Type.String()),
  authenticatedUntil: orNull(Type.Number())
})

const findAnswer = Compile(
  Type.Union([
    Type.Object({ outcome: Type.Literal('live'), record }),
    Type.Object({ outcome: Type.Literal('used'), record, usedBy: Type.String() }),
    Type.Object({ outcome: Type.Literal('unknown') })
  ])
)

/** Is this what a store may answer? What it keeps may have been corrupted, and nobody is let in on that. */
export function isFindOutcome(value: unknown): value is FindOutcome {
  return findAnswer.Check(value)
}

const issueAnswer = Compile(
  Type.Union([
    Type.Object({ outcome: Type.Literal('issued') }),
    Type.Object({ outcome: Type.Union([Type.Literal('user-full'), Type.Literal('full')]), retryAfterMs: Type.Number() })
  ])
)

/** Is this what a store may answer to a new ticket? */
export function isIssueOutcome(value: unknown): value is IssueOutcome {
  return issueAnswer.Check(value)
}
