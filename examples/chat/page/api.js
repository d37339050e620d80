/** What the page asks of the REST API. */

/** A refusal: what the server says about it, and how long to wait, if it says. */
export class ApiError extends Error {
  constructor({ message, code, statusCode, retryAfterMs }) {
    super(message)
    this.code = code
    this.statusCode = statusCode
    this.retryAfterMs = retryAfterMs
  }
}

/** The REST API as one user sees it. The token stays in memory: no other page and no later visit can read it. */
export class Api {
  #login
  #token

  /** @param login `{ name, expiresIn? }` */
  constructor(login) {
    this.#login = login
  }

  /** Gets a token. This demo logs in again with the name alone; a real app has a refresh token or a cookie for that. */
  async logIn() {
    const { token } = await post('/login', { body: this.#login })
    this.#token = token
  }

  async logOut() {
    await post('/logout', { token: this.#token })
  }

  /**
   * Gets a ticket for the WebSocket.
   * @param refresh the id of an open connection, if its session is to be extended instead of a new one opened
   */
  async ticket(refresh) {
    return await post('/chat/ticket', { token: this.#token, body: refresh ? { refresh } : {} })
  }
}

async function post(path, { token, body }) {
  const headers = {}
  if (token) headers.authorization = `Bearer ${token}`
  if (body) headers['content-type'] = 'application/json'
  const response = await fetch(path, { method: 'POST', headers, body: body && JSON.stringify(body) })
  const text = await response.text()
  const answer = isJson(response) ? JSON.parse(text) : {}
  if (response.ok) return answer
  throw new ApiError({
    message: answer.message ?? `The server answered ${response.status}.`,
    code: answer.code,
    statusCode: response.status,
    retryAfterMs: Number(response.headers.get('retry-after') ?? 0) * 1000
  })
}

function isJson(response) {
  return (response.headers.get('content-type') ?? '').startsWith('application/json')
}
