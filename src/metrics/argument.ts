import { fail } from '../errors.js'

/** What a function takes, and how it is called. */
export interface Argument {
  readonly name: string
  readonly what: string
  /** What it has to have, all of them functions. */
  readonly methods: readonly string[]
  readonly usage: string
}

/** @throws FST_WS_TICKET_INVALID_OPTION for what lacks a method, as where two arguments have changed places */
export function checkArgument(value: unknown, { name, what, methods, usage }: Argument): void {
  const missing = methods.find((method) => typeof Reflect.get(Object(value), method) !== 'function')
  if (missing === undefined) return
  throw fail('INVALID_OPTION', [`'${name}' is no ${what}, as it has no ${missing}; allowed: ${usage}.`])
}

/** @throws FST_WS_TICKET_INVALID_OPTION */
export function checkApp(app: unknown, usage: string): void {
  checkArgument(app, { name: 'app', what: 'Fastify app', methods: ['hasDecorator', 'addHook'], usage })
}

/** @throws FST_WS_TICKET_INVALID_OPTION for options that are none, or that nobody knows */
export function checkNames(options: unknown, known: readonly string[], usage: string): void {
  const isObject = typeof options === 'object' && options !== null
  const stray = isObject ? Object.keys(options).find((name) => !known.includes(name)) : undefined
  if (isObject && stray === undefined) return
  throw fail('INVALID_OPTION', [`${stray === undefined ? "'options' is no object" : `'${stray}' is not known`}; allowed: ${usage}.`])
}
