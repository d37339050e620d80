/** What the page asks of the REST API. */

/** What the log-in form says. */
export interface Login {
  readonly name: string
  /** Seconds for which a token is good. */
  readonly expiresIn: number
  /** Is a new token got before one expires? Otherwise the session ends with the first. */
  readonly isRenewed: boolean
}

/** A refusal of the REST API. */
export class ApiError extends Error {
  readonly code: string
  /** Milliseconds to wait before the next try, where the server said it. */
  readonly retryAfter: number

  constructor(code: string, message: string, retryAfter: number) {
    super(message)
    this.code = code
    this.retryAfter = retryAfter
  }
}

/** A token with less of its life left than this is replaced by a new one. */
const RENEW_BELOW = 0.75

/** A user who is logged in. The token stays in memory: no other page and no later visit can read it. */
export class Session {
  readonly #login: Login
  readonly #renewed: (until: Date) => void
  #token = ''
  #until = 0

  /** @param renewed is told until when a new token is good */
  constructor(login: Login, renewed: (until: Date) => void) {
    this.#login = login
    this.#renewed = renewed
  }

  /** Gets a token. This demo logs in again with the name alone; a real app has a refresh token or a cookie for that. */
  async logIn(): Promise<void> {
    const { name, expiresIn } = this.#login
    const { token } = await post('/login', { name, expiresIn })
    this.#token = String(token)
    this.#until = Date.now() + expiresIn * 1000
    this.#renewed(new Date(this.#until))
  }

  /** The token for the client's next ticket; null when the session is over. */
  async token(isRefused: boolean): Promise<string | null> {
    const left = (this.#until - Date.now()) / 1000 / this.#login.expiresIn
    if (this.#login.isRenewed && (isRefused || left < RENEW_BELOW)) await this.logIn()
    else if (isRefused || left <= 0) return null
    return this.#token
  }

  /** Closes all WebSockets of the user, in other windows too. */
  async logOut(): Promise<void> {
    await post('/logout', undefined, this.#token)
  }
}

async function post(path: string, body: unknown, token?: string): Promise<Record<string, unknown>> {
  const response = await fetch(path, {
    method: 'POST',
    headers: { ...(token && { authorization: `Bearer ${token}` }), ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) })
  })
  const answer = Object(await response.json().catch(() => ({})))
  if (response.ok) return answer
  const { code = '', message = `The server answered ${response.status}.` } = answer
  throw new ApiError(code, message, Number(response.headers.get('retry-after')) * 1000)
}
