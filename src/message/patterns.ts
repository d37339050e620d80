import { isSafe } from 'redos-detector'
import { nodesOf } from './schema-nodes.js'

/** How many ways through a text a pattern may have, and how long they are looked for; neither goes by the clock. */
const EFFORT = { maxScore: 100, maxSteps: 5000 }

/**
 * Looks through a whole schema for patterns that can take more than linear time (OWASP, Regular expression Denial of
 * Service): those whose repetitions overlap, so that a text can be matched in many ways.
 * @throws Error naming the pattern
 */
export function checkPatterns(schema: object): void {
  for (const [, node] of nodesOf(schema)) {
    checkPattern(Reflect.get(node, 'pattern'))
    Object.keys(Object(Reflect.get(node, 'patternProperties'))).forEach(checkPattern)
  }
}

function checkPattern(pattern: unknown): void {
  if (typeof pattern !== 'string' && !(pattern instanceof RegExp)) return
  if (isLinear(typeof pattern === 'string' ? new RegExp(pattern, 'u') : pattern)) return
  throw new Error(
    `the pattern ${String(pattern)} can take more than linear time; begin it with ^ and let no two of its repetitions match the ` +
      'same characters in a row, look around nowhere but at the beginning, use a format, or check the text in a function given to Type.Refine'
  )
}

/** What can not be read by the checker is not let through, nor what it does not see: looking around at each place in the text. */
function isLinear(pattern: RegExp): boolean {
  if (looksAround(pattern)) return false
  try {
    return isSafe(withoutGroupNames(pattern), EFFORT).safe
  } catch {
    return false
  }
}

/** Escapes and classes, in which nothing is a group, and what opens a look around. */
const LOOKAROUNDS = /\\.|\[(?:\\.|[^\]])*\]|(\(\?<?[=!])/gsu

/** Looking ahead once, from the beginning of the text, is harmless. */
function looksAround({ source }: RegExp): boolean {
  const found = [...source.matchAll(LOOKAROUNDS)].filter(([, sign]) => sign !== undefined)
  return found.some(({ index, 1: sign = '' }) => index !== 1 || !source.startsWith('^') || sign.includes('<'))
}

/** The name of a group changes nothing of what it matches. What is escaped or in a class is no group. */
const GROUP_NAMES = /\\.|\[(?:\\.|[^\]])*\]|(\(\?<(?![=!])[^>]+>)/gsu

function withoutGroupNames({ source, flags }: RegExp): RegExp {
  return new RegExp(
    source.replaceAll(GROUP_NAMES, (found: string, name: string | undefined) => (name === undefined ? found : '(')),
    flags
  )
}
