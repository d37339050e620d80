import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { ServerOptions, WebSocketServer } from 'ws'
import { fail } from '../errors.js'
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
 * The app's WebSocket server with the options that the app gave it. It may refuse an upgrade by its own checks and by its
 * `verifyClient`, and so must be asked before a ticket is redeemed; its `handleProtocols` need not know our subprotocol.
 */
export class AppServer {
  readonly #verifyClient: VerifyClient | undefined
  /** What the app said of our upgrades, for the server, which asks again. */
  readonly #verdicts = new WeakMap<IncomingMessage, Verdict>()
  /** A server of the same kind that opens nothing, to see whether the app's would; undefined where it looks at nothing that we have not. */
  readonly #rehearsal: WebSocketServer | undefined
  readonly #sound = new WeakSet<IncomingMessage>()

  constructor(server: WebSocketServer) {
    const { options } = server
    const { verifyClient, handleProtocols, path, maxPayload, perMessageDeflate } = options
    if (perMessageDeflate || path) {
      this.#rehearsal = Reflect.construct(server.constructor, [
        { noServer: true, clientTracking: false, path, maxPayload, perMessageDeflate, verifyClient: this.#passed }
      ])
    }
    this.#verifyClient = verifyClient
    if (verifyClient) options.verifyClient = (info, answer) => this.#answer(verifyClient, info, answer)
    if (!handleProtocols) return
    options.handleProtocols = (offered, request) => (this.#verdicts.has(request) ? SUBPROTOCOL : handleProtocols(offered, request))
  }

  /** Would the app's server find nothing wrong with this handshake, such as extensions that are not acceptable? */
  isSound(request: IncomingMessage): boolean {
    if (!this.#rehearsal) return true
    this.#rehearsal.handleUpgrade(request, new PassThrough(), NOTHING, nobody)
    return this.#sound.has(request)
  }

  /** Has the app nothing against this upgrade of ours? */
  async isWelcome(request: IncomingMessage): Promise<boolean> {
    const verdict = await this.#ask(request)
    this.#verdicts.set(request, verdict)
    return verdict[0]
  }

  /** What a server asks last; it has found nothing wrong by then. */
  readonly #passed = ({ req }: ClientInfo): boolean => {
    this.#sound.add(req)
    return false
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

const NOTHING = Buffer.alloc(0)

// who rehearses is refused at the end, so that there is never a socket to open
/* c8 ignore next */
function nobody(): void {}

/**
 * Refuses a server whose clients could end the process: where events are put off, the reader of `ws` (8.23) throws at fragments and pings
 * that come in several pieces.
 * @throws FST_WS_TICKET_INVALID_OPTION
 */
export function checkServer({ options }: WebSocketServer): void {
  if (options.allowSynchronousEvents !== false) return
  throw fail('INVALID_OPTION', [
    "allowSynchronousEvents of @fastify/websocket is false; allowed: true, its default. With false a client's frames can crash the process."
  ])
}

/** The largest message that the server takes, in bytes; 0 says that there is no limit. */
export function maxPayloadOf({ options }: WebSocketServer): number {
  return options.maxPayload || Number.POSITIVE_INFINITY
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
