import { isErrorCode } from '../errors.js'

/**
 * What a refusal is counted as: the code of this package, or `HTTP_<status>` for the app's own, whose codes may be as many as it
 * likes. Never throws, also where reading the error does.
 */
export function outcomeOf(error: unknown): string {
  try {
    const { code, statusCode }: Record<string, unknown> = Object(error)
    return isErrorCode(code) ? code : `HTTP_${errorStatus(statusCode)}`
  } catch {
    return 'HTTP_500'
  }
}

function errorStatus(status: unknown): number {
  return typeof status === 'number' && Number.isInteger(status) && status >= 400 && status <= 599 ? status : 500
}
