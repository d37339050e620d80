import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { ServerOptions, WebSocketServer } from 'ws'
import { SUBPROTOCOL } from '../protocol.js'

type VerifyClient = NonNullable<ServerOptions['verifyClient']>
type Answer = (isWelcome: boolean, code?: number, message?: string, headers?: Record<string, string | string[]>) => void
type Verdict = Parameters<Answer>

interface ClientInfo {
  readonly origin: string
  readonly secure: boolean
  readonly req: IncomingMessage
}

/**
 * The app's WebSocket server with the options that the app gave it. Its `verifyClient` may refuse, and so must be asked
 * before a ticket is redeemed; its `handleProtocols` need not know our subprotocol.
 */
export class AppServer {
  readonly #verifyClient: VerifyClient | undefined
  /** What the app said of our upgrades, for the server, which asks again. */
  readonly #verdicts = new WeakMap<IncomingMessage, Verdict>()

  constructor({ options }: WebSocketServer) {
    const { verifyClient, handleProtocols } = options
    this.#verifyClient = verifyClient
    if (verifyClient) options.verifyClient = (info, answer) => this.#answer(verifyClient, info, answer)
    if (!handleProtocols) return
    options.handleProtocols = (offered, request) => (this.#verdicts.has(request) ? SUBPROTOCOL : handleProtocols(offered, request))
  }

  /** Has the app nothing against this upgrade of ours? */
  async isWelcome(request: IncomingMessage): Promise<boolean> {
    const verdict = await this.#ask(request)
    this.#verdicts.set(request, verdict)
    return verdict[0]
  }

  async #ask(request: IncomingMessage): Promise<Verdict> {
    const { headers, socket } = request
    const info = { origin: headers.origin ?? '', secure: socket instanceof TLSSocket, req: request }
    const verifyClient = this.#verifyClient
    if (!verifyClient) return [true]
    return await new Promise((resolve) => this.#answer(verifyClient, info, (...verdict) => resolve(verdict)))
  }

  #answer(verifyClient: VerifyClient, info: ClientInfo, answer: Answer): void {
    const known = this.#verdicts.get(info.req)
    if (known) return answer(...known)
    const said: unknown = Reflect.apply(verifyClient, undefined, [info, answer])
    // as `ws` does: who takes no second parameter answers at once
    if (verifyClient.length !== 2) answer(Boolean(said))
  }
}

const servers = new WeakMap<WebSocketServer, AppServer>()

/** The app's server; its options are taken over once. */
export function appServerOf(server: WebSocketServer): AppServer {
  const known = servers.get(server)
  if (known) return known
  const made = new AppServer(server)
  servers.set(server, made)
  return made
}
