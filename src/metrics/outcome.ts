import { isErrorCode } from '../errors.js'

/**
 * What a refusal is counted as: the code of this package, or `HTTP_<status>` for the app's own, whose codes may be as many as it
 * likes.
 */
export function outcomeOf(error: unknown, statusCode = statusOf(error)): string {
  const code: unknown = Reflect.get(Object(error), 'code')
  return isErrorCode(code) ? code : `HTTP_${statusCode}`
}

function statusOf(error: unknown): number {
  const status: unknown = Reflect.get(Object(error), 'statusCode')
  return typeof status === 'number' && Number.isInteger(status) && status >= 400 && status <= 599 ? status : 500
}
